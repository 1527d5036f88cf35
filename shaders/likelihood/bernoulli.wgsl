// The Bernoulli likelihood p(x|z) = prod_d p_d^x_d (1 - p_d)^(1 - x_d), p = sigmoid(logits), as the epilogue of the
// product that makes the logits.
//
//   log_prob[row, block] = sum_d (x * logits - softplus(logits)), finite unless the sum itself exceeds f32
//   dlogits = (sigmoid(logits) - x) / rows, the gradient of the mean of -log_prob
//
// Grey pixels, 0 < x < 1, are allowed; the value is then no log-likelihood of anything.

#import lib/activation.wgsl
#import lib/matrix.wgsl

override D: u32;
override QUADS: u32 = (D + 3u) / 4u;
override LOG_PROB_STRIDE: u32;

@group(0) @binding(10) var<storage, read> x: array<vec4f>;              // (B, D)
@group(0) @binding(11) var<storage, read_write> dlogits: array<vec4f>;  // (B * SAMPLES, D)
@group(0) @binding(12) var<storage, read_write> log_prob: array<f32>;   // (B * SAMPLES, blocks of D)

const ROW_SUMS = true;

fn finish(row: u32, quad: u32, logits: vec4f) -> f32 {
    let i = row * QUADS + quad;
    let target_x = x[row / SAMPLES * QUADS + quad];
    dlogits[i] = keep((sigmoid(logits) - target_x) / f32(step.rows * SAMPLES), 4u * quad, D);
    return dot(keep(target_x * logits - softplus(logits), 4u * quad, D), vec4f(1.0));
}

fn finish_block(row: u32, block: u32, sum: f32) {
    log_prob[row * LOG_PROB_STRIDE + block] = sum;
}
