// The Gaussian likelihood p(x|z) = prod_d N(x_d; mean_d, exp(logvar_d)) whose variances are outputs of the decoder too, as
// the epilogue of the product that makes, for each dimension, the mean and a number `raw`.
//
//   logvar = LOGVAR_FLOOR + softplus(raw + SHIFT)
//   log_prob[row, block] = -1/2 * sum_d (log(2 pi) + logvar + e^2),  e = (mean - x) * exp(-logvar / 2)
//   gradient = (e * exp(-logvar / 2), 1/2 * (1 - e^2) * sigmoid(raw + SHIFT)) / rows, with respect to the mean and to raw
//
// The floor is soft: without one, a pixel that never changes would drive the density to infinity.

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import lib/normal.wgsl
#import likelihood/log_prob.wgsl
#import gradient

override D: u32;
override X_QUADS: u32;
override LOGVAR_FLOOR: f32;
override SHIFT: f32;

@group(0) @binding(10) var<storage, read> x: array<vec2f>;                  // (B, D)

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let shifted = value + SHIFT;
    let logvar = LOGVAR_FLOOR + softplus(shifted).yw;
    let inverse_std = exp(-0.5 * logvar);
    let e = (value.xz - x[2u * example_of(row) * X_QUADS + quad]) * inverse_std;
    let dmean = e * inverse_std;
    let d_raw = 0.5 * (1.0 - e * e) * sigmoid(shifted).yw;
    keep_gradient(row, quad, keep(vec4f(dmean.x, d_raw.x, dmean.y, d_raw.y), 4u * quad, 2u * D));
    return -0.5 * dot(keep_pair(LOG_TWO_PI + logvar + e * e, 2u * quad, D), vec2f(1.0));
}
