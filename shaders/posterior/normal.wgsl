// Draws from the diagonal normal posterior q(z|x), and its KL divergence from the prior.
//
//   z[b, k, l] = mean[b, l] + exp(logvar[b, l] / 2) * noise[b, k, l]
//   kl[b, k, l], latent l's term from the prior, in nats
//
// One thread makes four latents, from one draw of noise: x is the quad of latents, y the row, b * SAMPLES + k.

#import posterior/normal/draw.wgsl
#import prior

@group(0) @binding(0) var<storage, read> step: Step;

@compute @workgroup_size(8, 8)
fn draw(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < Z_QUADS && row < live_rows() {
        let q = load_normals(example_of(row), quad);
        let noise = noise_of(row, quad);
        let draw = reparameterise(q, noise);
        store_draw(row, quad, draw, kl_term(q.mean, q.logvar, draw, noise));
    }
}
