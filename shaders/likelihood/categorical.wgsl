// The categorical likelihood over the levels 0, 1/(C - 1), ..., 1. It reads the stored product: C logits of each dimension.
// The gradient overwrites the product.
//
//   log_prob[row, d] = logits[k] - log sum_c exp(logits[c]),  k = (C - 1) x
//   dlogits[c] = (softmax(logits)[c] - [c = k]) / rows, the gradient of the mean of -log_prob
//
// One thread processes one dimension: x is the dimension, y the row.

#import lib/nan.wgsl
#import lib/step.wgsl

override D: u32;
override CATEGORIES: u32;
override X_STRIDE: u32;
override OUTPUT_STRIDE: u32;
override LOG_PROB_STRIDE: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> x: array<f32>;                 // (B, D)
@group(0) @binding(2) var<storage, read_write> output: array<f32>;      // (B * SAMPLES, D * C): the logits, then their gradient
@group(0) @binding(3) var<storage, read_write> log_prob: array<f32>;    // (B * SAMPLES, D)

@compute @workgroup_size(8, 8)
fn evaluate(@builtin(global_invocation_id) id: vec3u) {
    let d = id.x;
    let row = id.y;
    if d < D && row < live_rows() {
        let first = row * OUTPUT_STRIDE + d * CATEGORIES;
        var largest = output[first];
        for (var c = 1u; c < CATEGORIES; c++) {
            largest = max(largest, output[first + c]);
        }
        var sum = 0.0;
        for (var c = 0u; c < CATEGORIES; c++) {
            sum += exp_or_nan(output[first + c] - largest);
        }
        let k = u32(round(f32(CATEGORIES - 1u) * x[example_of(row) * X_STRIDE + d]));
        // The sum is at least 1, since the largest term is 1.
        log_prob[row * LOG_PROB_STRIDE + d] = output[first + k] - largest - log(sum);
        for (var c = 0u; c < CATEGORIES; c++) {
            let prob = exp_or_nan(output[first + c] - largest) / sum;
            output[first + c] = (prob - select(0.0, 1.0, c == k)) / f32(live_rows());
        }
    }
}
