// Draws from the standard normal prior: z[b, l] = noise.
//
// One thread makes four latents: x is the quad of latents, y the row b.

#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl

override L: u32;
override Z_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read_write> z: array<vec4f>;     // (B, L)

@compute @workgroup_size(8, 8)
fn draw(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < Z_QUADS && b < step.examples {
        z[b * Z_QUADS + quad] = keep(normal_noise(step.key, quad, step.first + b, step.t, 0u), 4u * quad, L);
    }
}
