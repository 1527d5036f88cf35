// Epilogue of the product that makes dz: takes the gradient on through the reparameterisation, and adds that of the KL
// divergence in closed form. For one sample an example, with the ELBO as the objective; `samples.wgsl` is for the rest.
//
//   dmean = dz + w * dkl / dmean,  dlogvar = dz * (z - mean) / 2 + w * dkl / dlogvar,  w = kl_weight / rows
//
// z is the input of the layer that makes dz, and z - mean is exp(logvar / 2) * noise: the noise need not be made again.

#import lib/logvar.wgsl
#import prior

override L: u32;
override STRIDE: u32 = (2u * L + 3u) / 4u * 4u;

@group(0) @binding(10) var<storage, read> posterior: array<f32>;            // (B, 2L): mean, then logvar
@group(0) @binding(11) var<storage, read_write> dposterior: array<f32>;     // (B, 2L)

const ROW_SUMS = false;

fn finish(row: u32, quad: u32, dz: vec4f) -> f32 {
    let at = row * STRIDE + 4u * quad;
    let latents = min(4u, L - 4u * quad);
    var mean = vec4f();
    var given = vec4f();
    for (var i = 0u; i < latents; i++) {
        mean[i] = posterior[at + i];
        given[i] = posterior[at + i + L];
    }
    let logvar = hold_logvar(given);
    let weight = step.kl_weight / f32(step.rows);
    let dmean = dz + weight * kl_dmean(mean, logvar);
    let dlogvar = 0.5 * dz * (input_quad(row, quad) - mean) + weight * kl_dlogvar(mean, logvar);
    let dgiven = through_hold(given, dlogvar);
    for (var i = 0u; i < latents; i++) {
        dposterior[at + i] = dmean[i];
        dposterior[at + i + L] = dgiven[i];
    }
    return 0.0;
}

fn finish_block(row: u32, block: u32, sum: f32) {}
