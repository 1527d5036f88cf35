// The gradient of the posterior from that of its draws, summed over each example's samples, for any objective and prior.
//
//   g = dz + w * dkl / dz,  dmean = sum_k (g + w * dkl / dmean),  dlogvar = sum_k (g * (z - mean) / 2 + w * dkl / dlogvar)
//
// where w is the row's KL weight and the derivatives by mean and logvar are those at a given z. Doubly reparameterised
// (Tucker et al. 2019, equation 8), log q(z|x) is differentiated through z alone, and each row counts v times, which is its
// share of the importance weights where the KL weight is 1 (in general 1 - kl_weight * (1 - share)):
//
//   g = v * (dz + w * (dkl / dz - (z - mean) * exp(-logvar))),  dmean = sum_k g,  dlogvar = sum_k g * (z - mean) / 2
//
// One thread takes four latents of an example: x is the quad of latents, y the example b.

#import lib/logvar.wgsl
#import lib/matrix.wgsl
#import lib/step.wgsl
#import prior
#import objective

override L: u32;
override QUADS: u32 = (L + 3u) / 4u;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;             // (B, 2L): mean, then logvar
@group(0) @binding(2) var<storage, read> z: array<vec4f>;                   // (B * SAMPLES, L)
@group(0) @binding(3) var<storage, read> dz: array<vec4f>;                  // (B * SAMPLES, L)
@group(0) @binding(4) var<storage, read_write> dposterior: array<f32>;      // (B, 2L)

@compute @workgroup_size(8, 8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let at = b * STRIDE + 4u * quad;
        let latents = min(4u, L - 4u * quad);
        var mean = vec4f();
        var given = vec4f();
        for (var i = 0u; i < latents; i++) {
            mean[i] = posterior[at + i];
            given[i] = posterior[at + i + L];
        }
        let logvar = hold_logvar(given);
        var dmean = vec4f();
        var dlogvar = vec4f();
        for (var row = b * SAMPLES; row < (b + 1u) * SAMPLES; row++) {
            let draw = z[row * QUADS + quad];
            let weight = kl_weight(row, quad);
            var g = dz[row * QUADS + quad] + weight * kl_dz(row, quad, draw);
            if DOUBLY {
                g = draw_weight(row) * (g - weight * (draw - mean) * exp(-logvar));
            } else {
                dmean += weight * kl_dmean(mean, logvar);
                dlogvar += weight * kl_dlogvar(mean, logvar);
            }
            dmean += g;
            dlogvar += 0.5 * g * (draw - mean);
        }
        let dgiven = through_hold(given, dlogvar);
        for (var i = 0u; i < latents; i++) {
            dposterior[at + i] = dmean[i];
            dposterior[at + i + L] = dgiven[i];
        }
    }
}
