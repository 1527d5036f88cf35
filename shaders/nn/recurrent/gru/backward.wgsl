// The gradients of a position of a gated recurrent unit, last position first. With d = dstate + doutput:
//
//   da_u = d (state - n) u (1 - u),  da_n = d (1 - u) (1 - n^2),  da_r = da_n c_n r (1 - r)
//   dc_r = da_r,  dc_u = da_u,  dc_n = r da_n,  dstate = u d
//
// to which a product adds dc weight. `gates` has r, u and n, which da overwrites, and dc overwrites `hidden`, with c_n in its last
// run. dc goes to `dproduct` too. One thread makes a quad of units: x is the quad, y the row, (example, sample).

#import lib/step.wgsl

override DSTATE_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> position: array<u32>;              // (1)
@group(0) @binding(2) var<storage, read> previous: array<vec4f>;            // (T * B * SAMPLES, H)
@group(0) @binding(3) var<storage, read> doutput: array<vec4f>;             // (T * B * SAMPLES, H)
@group(0) @binding(4) var<storage, read_write> gates: array<vec4f>;         // (T * B * SAMPLES, 3 H)
@group(0) @binding(5) var<storage, read_write> hidden: array<vec4f>;        // (T * B * SAMPLES, 3 H)
@group(0) @binding(6) var<storage, read_write> dstate: array<vec4f>;        // (B * SAMPLES, H)
@group(0) @binding(7) var<storage, read_write> dproduct: array<vec4f>;      // (B * SAMPLES, 3 H)

@compute @workgroup_size(8, 8)
fn go_back(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < DSTATE_QUADS && row < rows_of_position() && position[0] < step.length {
        let now = position[0] * rows_of_position() + row;
        let a = 3u * now * DSTATE_QUADS + quad;
        let c = 3u * row * DSTATE_QUADS + quad;
        let i = row * DSTATE_QUADS + quad;
        var d = doutput[now * DSTATE_QUADS + quad];
        if position[0] + 1u < step.length {
            d += dstate[i];
        }
        let r = gates[a];
        let u = gates[a + DSTATE_QUADS];
        let n = gates[a + 2u * DSTATE_QUADS];
        let du = d * (previous[now * DSTATE_QUADS + quad] - n) * u * (1.0 - u);
        let dn = d * (1.0 - u) * (1.0 - n * n);
        let dr = dn * hidden[a + 2u * DSTATE_QUADS] * r * (1.0 - r);
        gates[a] = dr;
        gates[a + DSTATE_QUADS] = du;
        gates[a + 2u * DSTATE_QUADS] = dn;
        hidden[a] = dr;
        hidden[a + DSTATE_QUADS] = du;
        hidden[a + 2u * DSTATE_QUADS] = r * dn;
        dproduct[c] = dr;
        dproduct[c + DSTATE_QUADS] = du;
        dproduct[c + 2u * DSTATE_QUADS] = r * dn;
        dstate[i] = u * d;
    }
}
