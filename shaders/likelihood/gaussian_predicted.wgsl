// The Gaussian likelihood p(x|z) = prod_d N(x_d; mean_d, exp(logvar_d)) whose variances the decoder puts out too, as the
// epilogue of the product that makes, dimension by dimension, the mean and a number `raw`.
//
//   logvar = LOGVAR_FLOOR + softplus(raw + SHIFT)
//   log_prob[row, block] = -1/2 * sum_d (log(2 pi) + logvar + e^2),  e = (mean - x) * exp(-logvar / 2)
//   dmean = e * exp(-logvar / 2) / rows,  draw = 1/2 * (1 - e^2) * sigmoid(raw + SHIFT) / rows
//
// The floor is soft: without one, a pixel that never changes would drive the density to infinity.

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import lib/normal.wgsl

override D: u32;
override QUADS: u32 = (2u * D + 3u) / 4u;
override PAIRS: u32 = (D + 3u) / 4u * 2u;
override LOG_PROB_STRIDE: u32;
override LOGVAR_FLOOR: f32;
override SHIFT: f32;

@group(0) @binding(10) var<storage, read> x: array<vec2f>;                  // (B, D)
@group(0) @binding(11) var<storage, read_write> doutput: array<vec4f>;      // (B * SAMPLES, 2D): mean, raw, mean, raw
@group(0) @binding(12) var<storage, read_write> log_prob: array<f32>;       // (B * SAMPLES, blocks of 2D)

const ROW_SUMS = true;

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let shifted = value + SHIFT;
    let logvar = LOGVAR_FLOOR + softplus(shifted).yw;
    let inverse_std = exp(-0.5 * logvar);
    let e = (value.xz - x[row / SAMPLES * PAIRS + quad]) * inverse_std;
    let dmean = e * inverse_std;
    let draw = 0.5 * (1.0 - e * e) * sigmoid(shifted).yw;
    let gradient = vec4f(dmean.x, draw.x, dmean.y, draw.y) / f32(step.rows * SAMPLES);
    doutput[row * QUADS + quad] = keep(gradient, 4u * quad, 2u * D);
    return -0.5 * dot(keep_pair(LOG_TWO_PI + logvar + e * e, 2u * quad, D), vec2f(1.0));
}

fn finish_block(row: u32, block: u32, sum: f32) {
    log_prob[row * LOG_PROB_STRIDE + block] = sum;
}
