// The Gaussian likelihood p(x|z) = N(x; mean, exp(logvar) I) with one variance for all dimensions, as the epilogue of the
// product that makes the mean.
//
//   log_prob[row, block] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))
//   dmean = (mean - x) * exp(-logvar) / rows, the gradient of the mean of -log_prob

#import lib/matrix.wgsl
#import lib/normal.wgsl

override D: u32;
override QUADS: u32 = (D + 3u) / 4u;
override LOG_PROB_STRIDE: u32;

@group(0) @binding(10) var<storage, read> x: array<vec4f>;              // (B, D)
@group(0) @binding(11) var<storage, read> logvar: array<f32>;           // (1)
@group(0) @binding(12) var<storage, read_write> dmean: array<vec4f>;    // (B * SAMPLES, D)
@group(0) @binding(13) var<storage, read_write> log_prob: array<f32>;   // (B * SAMPLES, blocks of D)

const ROW_SUMS = true;

fn finish(row: u32, quad: u32, mean: vec4f) -> f32 {
    let i = row * QUADS + quad;
    let inverse_variance = exp(-logvar[0]);
    let error = keep(mean - x[row / SAMPLES * QUADS + quad], 4u * quad, D);
    dmean[i] = error * (inverse_variance / f32(step.rows * SAMPLES));
    let columns = f32(min(4u, D - 4u * quad));
    return -0.5 * (columns * (LOG_TWO_PI + logvar[0]) + dot(error, error) * inverse_variance);
}

fn finish_block(row: u32, block: u32, sum: f32) {
    log_prob[row * LOG_PROB_STRIDE + block] = sum;
}
