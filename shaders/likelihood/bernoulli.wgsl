// The Bernoulli likelihood p(x|z) = prod_d p_d^x_d (1 - p_d)^(1 - x_d), p = sigmoid(logits), as the epilogue of the
// product that makes the logits.
//
//   log_prob[row, block] = sum_d (x * logits - softplus(logits)), finite unless the sum itself exceeds f32
//   gradient = (sigmoid(logits) - x) / rows, the gradient of the mean of -log_prob with respect to the logits
//
// Grey pixels, 0 < x < 1, are allowed; the value is then not a log likelihood.

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import likelihood/log_prob.wgsl
#import gradient

override D: u32;
override X_QUADS: u32;

@group(0) @binding(10) var<storage, read> x: array<vec4f>;              // (B, D)

fn finish(row: u32, quad: u32, logits: vec4f) -> f32 {
    let target_x = x[example_of(row) * X_QUADS + quad];
    keep_gradient(row, quad, keep(sigmoid(logits) - target_x, 4u * quad, D));
    return dot(keep(target_x * logits - softplus(logits), 4u * quad, D), vec4f(1.0));
}
