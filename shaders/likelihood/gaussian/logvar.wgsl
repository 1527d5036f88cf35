// The gradient of the loss with respect to the log variance of the Gaussian likelihood, one for all dimensions.
//
//   dlogvar = 1/2 * sum_row w (D - sum_d (x - mean)^2 * exp(-logvar))
//           = sum_row w (log_prob[row] + D / 2 * (1 + log(2 pi) + logvar))
//
// where w is the weight that the objective gives to the row. There is one workgroup.

#import lib/normal.wgsl
#import lib/reduce.wgsl
#import lib/step.wgsl
#import objective

override D: u32;
override LOG_PROB_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> logvar: array<f32>;            // (1)
@group(0) @binding(2) var<storage, read> log_prob: array<vec4f>;        // (B * SAMPLES, blocks of D)
@group(0) @binding(3) var<storage, read_write> dlogvar: array<f32>;     // (1)

@compute @workgroup_size(REDUCE_SIZE)
fn backward(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4f();
    for (var row = lane; row < live_rows(); row += REDUCE_SIZE) {
        // The two parts of a row nearly cancel, so they are added to each other first.
        var shares = vec4f();
        for (var quad = 0u; quad < LOG_PROB_QUADS; quad++) {
            shares += log_prob[row * LOG_PROB_QUADS + quad];
        }
        let excess = dot(shares, vec4f(1.0)) + 0.5 * f32(D) * (1.0 + LOG_TWO_PI + logvar[0]);
        sum.x += row_weight(row) * excess;
    }
    sum = workgroup_sum(sum, lane);
    if lane == 0u {
        dlogvar[0] = sum.x;
    }
}
