// Sums over the examples of a step, latent by latent. The sums of all steps give the KL divergence of each latent, and the
// mean and the variance of its posterior's mean over the data.
//
//   sums[3 row]     = sum_b kl[b, l], the mean over an example's samples
//   sums[3 row + 1] = sum_b mean[b, l]
//   sums[3 row + 2] = sum_b mean[b, l]^2
//
// where row is that of the step. One thread processes a quad of latents.

#import lib/matrix.wgsl
#import lib/step.wgsl

override L: u32;
override KL_QUADS: u32;
override POSTERIOR_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> posterior: array<vec4f>;       // (B, 2L): mean, then logvar
@group(0) @binding(2) var<storage, read> kl: array<vec4f>;              // (B * SAMPLES, L)
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;      // (3 * steps, L)

@compute @workgroup_size(8)
fn sum(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    if quad < KL_QUADS {
        var kl_sum = vec4f();
        for (var row = 0u; row < live_rows(); row++) {
            kl_sum += kl[row * KL_QUADS + quad];
        }
        var mean_sum = vec4f();
        var square_sum = vec4f();
        for (var b = 0u; b < step.examples; b++) {
            // If the means end within a quad, log variances follow.
            let mean = keep(posterior[b * POSTERIOR_QUADS + quad], 4u * quad, L);
            mean_sum += mean;
            square_sum += mean * mean;
        }
        let at = 3u * step.row * KL_QUADS + quad;
        sums[at] = kl_sum / f32(SAMPLES);
        sums[at + KL_QUADS] = mean_sum;
        sums[at + 2u * KL_QUADS] = square_sum;
    }
}
