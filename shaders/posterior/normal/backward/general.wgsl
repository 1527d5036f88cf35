// The gradient of the posterior from that of its draws, summed over the samples of each example, for any objective and
// prior.
//
//   g = dz + w * dkl / dz,  dmean = sum_k (g + w * dkl / dmean),  dlogvar = sum_k (g * (z - mean) / 2 + w * dkl / dlogvar)
//
// where w is the row's KL weight, and z is fixed in the derivatives with respect to mean and logvar. The doubly
// reparameterised gradient (Tucker et al. 2019, equation 8) differentiates log q(z|x) only through z. The factor v of each
// row is its share of the importance weights if the KL weight is 1 (in general 1 - kl_weight * (1 - share)):
//
//   g = v * (dz + w * (dkl / dz - (z - mean) * exp(-logvar))),  dmean = sum_k g,  dlogvar = sum_k g * (z - mean) / 2
//
// One thread processes four latents of an example: x is the quad of latents, y the example b.

#import lib/step.wgsl
#import posterior/normal/parameters.wgsl
#import prior
#import objective

override Z_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;       // (B * SAMPLES, L)
@group(0) @binding(2) var<storage, read> dz: array<vec4f>;      // (B * SAMPLES, L)

@compute @workgroup_size(8, 8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < Z_QUADS && b < step.examples {
        let q = load_normals(b, quad);
        var dmean = vec4f();
        var dlogvar = vec4f();
        for (var row = b * SAMPLES; row < (b + 1u) * SAMPLES; row++) {
            let draw = z[row * Z_QUADS + quad];
            let weight = kl_weight(row, quad);
            var g = dz[row * Z_QUADS + quad] + weight * kl_dz(row, quad, draw);
            if DOUBLY {
                g = draw_weight(row) * (g - weight * (draw - q.mean) * exp(-q.logvar));
            } else {
                dmean += weight * kl_dmean(q.mean, q.logvar);
                dlogvar += weight * kl_dlogvar(q.mean, q.logvar);
            }
            dmean += g;
            dlogvar += 0.5 * g * (draw - q.mean);
        }
        store_gradients(b, quad, dmean, through_clamp(q.given, dlogvar));
    }
}
