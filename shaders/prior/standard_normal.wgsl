// The standard normal prior p(z) = N(0, I): its KL divergence from the posterior in closed form, and draws from it.
//
//   forward:   kl[b] = 1/2 * sum_l (mean^2 + exp(logvar) - logvar - 1)
//   backward:  dmean += w * mean,  dlogvar += w * (exp(logvar) - 1) / 2,  w = kl_weight / rows
//   sample:    z[b, l] = noise
//
// forward: one thread an example. backward: one thread a latent (x) of an example (y). sample: one thread four latents.

#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl

override L: u32;
override QUADS: u32 = (L + 3u) / 4u;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;         // (B, 2L): mean, then logvar
@group(0) @binding(2) var<storage, read_write> kl: array<f32>;          // (B)
@group(0) @binding(3) var<storage, read_write> dposterior: array<f32>;  // (B, 2L), added to
@group(0) @binding(4) var<storage, read_write> z: array<vec4f>;         // (B, L)

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let b = id.x;
    if b < step.rows {
        var sum = 0.0;
        for (var l = 0u; l < L; l++) {
            let mean = posterior[b * STRIDE + l];
            let logvar = posterior[b * STRIDE + L + l];
            sum += mean * mean + (exp(logvar) - logvar - 1.0);
        }
        kl[b] = 0.5 * sum;
    }
}

@compute @workgroup_size(8, 8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let l = id.x;
    let b = id.y;
    if l < L && b < step.rows {
        let weight = step.kl_weight / f32(step.rows);
        let at = b * STRIDE + l;
        dposterior[at] += weight * posterior[at];
        dposterior[at + L] += weight * 0.5 * (exp(posterior[at + L]) - 1.0);
    }
}

@compute @workgroup_size(8, 8)
fn sample(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        z[b * QUADS + quad] = keep(normal_noise(step.key, quad, step.first + b, step.t), 4u * quad, L);
    }
}
