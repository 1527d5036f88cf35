// The gradient of the mean of the Gaussian likelihood's -log_prob with respect to its log variance.
//
//   dlogvar = 1/2 * sum_b (D - sum_d (x - mean)^2 * exp(-logvar)) / rows
//           = sum_b (log_prob[b] + D / 2 * (1 + log(2 pi) + logvar)) / rows
//
// One workgroup in all.

#import lib/reduce.wgsl
#import lib/step.wgsl

override D: u32;
override LOG_PROB_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> logvar: array<f32>;            // (1)
@group(0) @binding(2) var<storage, read> log_prob: array<vec4f>;        // (B, blocks of D)
@group(0) @binding(3) var<storage, read_write> dlogvar: array<f32>;     // (1)

const LOG_TWO_PI = 1.8378770664093453;

@compute @workgroup_size(REDUCE_SIZE)
fn backward(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4f();
    for (var b = lane; b < step.rows; b += REDUCE_SIZE) {
        // The two parts of an example nearly cancel: they meet before anything else is added.
        var example = vec4f();
        for (var quad = 0u; quad < LOG_PROB_QUADS; quad++) {
            example += log_prob[b * LOG_PROB_QUADS + quad];
        }
        sum.x += dot(example, vec4f(1.0)) + 0.5 * f32(D) * (1.0 + LOG_TWO_PI + logvar[0]);
    }
    sum = workgroup_sum(sum, lane);
    if lane == 0u {
        dlogvar[0] = sum.x / f32(step.rows);
    }
}
