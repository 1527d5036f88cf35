// Draws from the diagonal normal posterior, z = mean + exp(logvar / 2) * noise, and where they are stored.

#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl
#import posterior/normal/parameters.wgsl

override Z_QUADS: u32;

@group(0) @binding(2) var<storage, read_write> z: array<vec4f>;         // (B * SAMPLES, L)
@group(0) @binding(3) var<storage, read_write> kl: array<vec4f>;        // (B * SAMPLES, L)

fn noise_of(row: u32, quad: u32) -> vec4f {
    return normal_noise(step.key, quad, step.first + example_of(row), step.t, step.first_sample + row % SAMPLES);
}

fn reparameterise(q: Normals, noise: vec4f) -> vec4f {
    return q.mean + exp(0.5 * q.logvar) * noise;
}

// Stores a quad of latents of a row, and their KL divergence.
fn store_draw(row: u32, quad: u32, latents: vec4f, divergence: vec4f) {
    z[row * Z_QUADS + quad] = keep(latents, 4u * quad, L);
    kl[row * Z_QUADS + quad] = keep(divergence, 4u * quad, L);
}
