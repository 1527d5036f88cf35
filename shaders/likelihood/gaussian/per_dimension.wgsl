// The Gaussian likelihood p(x|z) = prod_d N(x_d; mean_d, exp(logvar_d)) with a variance for each dimension, as the epilogue
// of the product that makes the mean.
//
//   log_prob[row, block] = -1/2 * sum_d (log(2 pi) + logvar_d + (x - mean)^2 * exp(-logvar_d))
//   dmean = (mean - x) * exp(-logvar_d) / rows, the gradient of the mean of -log_prob

#import lib/matrix.wgsl
#import lib/normal.wgsl

override D: u32;
override QUADS: u32 = (D + 3u) / 4u;
override LOG_PROB_STRIDE: u32;

@group(0) @binding(10) var<storage, read> x: array<vec4f>;              // (B, D)
@group(0) @binding(11) var<storage, read> logvar: array<vec4f>;         // (D)
@group(0) @binding(12) var<storage, read_write> dmean: array<vec4f>;    // (B * SAMPLES, D)
@group(0) @binding(13) var<storage, read_write> log_prob: array<f32>;   // (B * SAMPLES, blocks of D)

const ROW_SUMS = true;

fn finish(row: u32, quad: u32, mean: vec4f) -> f32 {
    let error = keep(mean - x[row / SAMPLES * QUADS + quad], 4u * quad, D);
    let scaled = error * exp(-logvar[quad]);
    dmean[row * QUADS + quad] = scaled / f32(step.rows * SAMPLES);
    return -0.5 * dot(keep(LOG_TWO_PI + logvar[quad] + error * scaled, 4u * quad, D), vec4f(1.0));
}

fn finish_block(row: u32, block: u32, sum: f32) {
    log_prob[row * LOG_PROB_STRIDE + block] = sum;
}
