// Draws from the diagonal normal posterior q(z|x), and its KL divergence from the prior.
//
//   z[b, k, l] = mean[b, l] + exp(logvar[b, l] / 2) * noise[b, k, l]
//   kl[b, k, l], the prior's share of latent l, in nats
//
// One thread makes four latents, those of one draw of noise: x is the quad of latents, y the row, b * SAMPLES + k.

#import lib/logvar.wgsl
#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl
#import prior

override L: u32;
override QUADS: u32 = (L + 3u) / 4u;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;         // (B, 2L): mean, then logvar
@group(0) @binding(2) var<storage, read_write> z: array<vec4f>;         // (B * SAMPLES, L)
@group(0) @binding(3) var<storage, read_write> kl: array<vec4f>;        // (B * SAMPLES, L)

@compute @workgroup_size(8, 8)
fn draw(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < QUADS && row < step.rows * SAMPLES {
        let b = row / SAMPLES;
        var mean = vec4f();
        var logvar = vec4f();
        for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
            let at = b * STRIDE + 4u * quad + i;
            mean[i] = posterior[at];
            logvar[i] = posterior[at + L];
        }
        logvar = hold_logvar(logvar);
        let noise = normal_noise(step.key, quad, step.first + b, step.t, step.sample + row % SAMPLES);
        let draw = mean + exp(0.5 * logvar) * noise;
        z[row * QUADS + quad] = keep(draw, 4u * quad, L);
        kl[row * QUADS + quad] = keep(kl_term(mean, logvar, draw, noise), 4u * quad, L);
    }
}
