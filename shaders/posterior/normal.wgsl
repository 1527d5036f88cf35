// Draws from the diagonal normal posterior q(z|x), and its KL divergence from the prior.
//
//   z[b, k, l] = mean[b, l] + exp(logvar[b, l] / 2) * noise[b, k, l]
//   kl[b, k, l], latent l's term from the prior, in nats
//
// One thread makes four latents, from one draw of noise: x is the quad of latents, y the row, b * SAMPLES + k.

#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl
#import posterior/normal/parameters.wgsl
#import prior

override Z_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read_write> z: array<vec4f>;         // (B * SAMPLES, L)
@group(0) @binding(3) var<storage, read_write> kl: array<vec4f>;        // (B * SAMPLES, L)

@compute @workgroup_size(8, 8)
fn draw(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < Z_QUADS && row < live_rows() {
        let b = example_of(row);
        let q = load_normals(b, quad);
        let noise = normal_noise(step.key, quad, step.first + b, step.t, step.first_sample + row % SAMPLES);
        let draw = q.mean + exp(0.5 * q.logvar) * noise;
        z[row * Z_QUADS + quad] = keep(draw, 4u * quad, L);
        kl[row * Z_QUADS + quad] = keep(kl_term(q.mean, q.logvar, draw, noise), 4u * quad, L);
    }
}
