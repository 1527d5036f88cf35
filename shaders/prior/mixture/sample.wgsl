// Draws from a mixture of normals with equal weights: z[b, l] = m[c, l] + exp(v[c, l] / 2) * noise, of a component c drawn first.
//
// One thread makes four latents: x is the quad of latents, y the row b.

#import lib/logvar.wgsl
#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl

override L: u32;
override COMPONENTS: u32;   // at most 65536
override QUADS: u32 = (L + 3u) / 4u;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> components: array<f32>;    // (M, 2L): mean, then logvar
@group(0) @binding(2) var<storage, read_write> z: array<vec4f>;     // (B, L)

const CHOICE = 0xFFFFFFFFu;     // the block of the draw that chooses a component: no block of latents has that number

// The upper word of the product of a random word and the number of components, from halves that do not overflow.
fn component(word: u32) -> u32 {
    return ((word >> 16u) * COMPONENTS + (((word & 0xFFFFu) * COMPONENTS) >> 16u)) >> 16u;
}

@compute @workgroup_size(8, 8)
fn sample(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let c = component(threefry(step.key, vec4u(CHOICE, step.first + b, step.t, 0u)).x);
        var mean = vec4f();
        var logvar = vec4f();
        for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
            let at = c * STRIDE + 4u * quad + i;
            mean[i] = components[at];
            logvar[i] = components[at + L];
        }
        let noise = normal_noise(step.key, quad, step.first + b, step.t, 0u);
        z[b * QUADS + quad] = keep(mean + exp(0.5 * hold_logvar(logvar)) * noise, 4u * quad, L);
    }
}
