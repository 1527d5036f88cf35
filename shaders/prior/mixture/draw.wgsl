// Draws from a mixture of normals with equal weights: z[b, l] = m[c, l] + exp(v[c, l] / 2) * noise, where the component c
// is drawn first.
//
// One thread makes four latents: x is the quad of latents, y the row b.

#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl
#import posterior/normal/parameters.wgsl

override COMPONENTS: u32;   // at most 65536
override Z_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read_write> z: array<vec4f>;     // (B, L)

const CHOICE = 0xFFFFFFFFu;     // the block of the draw that chooses a component: no block of latents has that number

// The upper word of the product of a random word and the number of components, from halves that do not overflow.
fn chosen(word: u32) -> u32 {
    return ((word >> 16u) * COMPONENTS + (((word & 0xFFFFu) * COMPONENTS) >> 16u)) >> 16u;
}

@compute @workgroup_size(8, 8)
fn draw(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < Z_QUADS && b < step.examples {
        let c = chosen(threefry(step.key, vec4u(CHOICE, step.first + b, step.t, 0u)).x);
        let component = load_normals(c, quad);
        let noise = normal_noise(step.key, quad, step.first + b, step.t, 0u);
        z[b * Z_QUADS + quad] = keep(component.mean + exp(0.5 * component.logvar) * noise, 4u * quad, L);
    }
}
