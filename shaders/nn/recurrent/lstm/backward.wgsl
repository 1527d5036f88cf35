// The gradients of a position of a long short-term memory, last position first. With d = dstate + doutput and e = dcell +
// d o (1 - tanh(cell)^2):
//
//   da_i = e g i (1 - i),  da_f = e cell_before f (1 - f),  da_g = e i (1 - g^2),  da_o = d tanh(cell) o (1 - o)
//   dc = da,  dcell = f e
//
// A product makes dstate = dc weight. `gates` has i, f, g and o, which da overwrites; it goes to `dproduct` too. One thread makes a
// quad of units: x is the quad, y the row, (example, sample).

#import lib/activation.wgsl
#import lib/step.wgsl

override DSTATE_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> position: array<u32>;              // (1)
@group(0) @binding(2) var<storage, read> cells: array<vec4f>;               // ((T + 1) * B * SAMPLES, H)
@group(0) @binding(3) var<storage, read> doutput: array<vec4f>;             // (T * B * SAMPLES, H)
@group(0) @binding(4) var<storage, read_write> gates: array<vec4f>;         // (T * B * SAMPLES, 4 H)
@group(0) @binding(5) var<storage, read> dstate: array<vec4f>;              // (B * SAMPLES, H)
@group(0) @binding(6) var<storage, read_write> dcell: array<vec4f>;         // (B * SAMPLES, H)
@group(0) @binding(7) var<storage, read_write> dproduct: array<vec4f>;      // (B * SAMPLES, 4 H)

@compute @workgroup_size(8, 8)
fn go_back(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < DSTATE_QUADS && row < rows_of_position() && position[0] < step.length {
        let now = position[0] * rows_of_position() + row;
        let a = 4u * now * DSTATE_QUADS + quad;
        let c = 4u * row * DSTATE_QUADS + quad;
        let at = now * DSTATE_QUADS + quad;
        let here = row * DSTATE_QUADS + quad;
        let i = gates[a];
        let f = gates[a + DSTATE_QUADS];
        let g = gates[a + 2u * DSTATE_QUADS];
        let o = gates[a + 3u * DSTATE_QUADS];
        let squashed = activate(TANH, cells[at + rows_of_position() * DSTATE_QUADS]);
        var d = doutput[at];
        var e = vec4f();
        if position[0] + 1u < step.length {
            d += dstate[here];
            e = dcell[here];
        }
        e += d * o * (1.0 - squashed * squashed);
        let di = e * g * i * (1.0 - i);
        let df = e * cells[at] * f * (1.0 - f);
        let dg = e * i * (1.0 - g * g);
        let d_o = d * squashed * o * (1.0 - o);
        gates[a] = di;
        gates[a + DSTATE_QUADS] = df;
        gates[a + 2u * DSTATE_QUADS] = dg;
        gates[a + 3u * DSTATE_QUADS] = d_o;
        dproduct[c] = di;
        dproduct[c + DSTATE_QUADS] = df;
        dproduct[c + 2u * DSTATE_QUADS] = dg;
        dproduct[c + 3u * DSTATE_QUADS] = d_o;
        dcell[here] = f * e;
    }
}
