// Reduces the per-example terms of a step to one row of the metrics, and moves on to the table's next step.
//
//   metrics[row] = (sum_b log_prob[b], sum_b kl[b], 0, 0)
//   step = steps[row + 1]
//
// One workgroup in all. It must be a step's last dispatch: the kernels before it read `step`.

#import lib/reduce.wgsl
#import lib/step.wgsl

@group(0) @binding(0) var<storage, read_write> step: Step;
@group(0) @binding(1) var<storage, read> steps: array<Step>;               // one row a step of the epoch
@group(0) @binding(2) var<storage, read> log_prob: array<f32>;             // (B)
@group(0) @binding(3) var<storage, read> kl: array<f32>;                   // (B)
@group(0) @binding(4) var<storage, read_write> metrics: array<vec4f>;      // one row a step of the epoch

@compute @workgroup_size(REDUCE_SIZE)
fn finish(@builtin(local_invocation_index) lane: u32) {
    var log_prob_sum = 0.0;
    var kl_sum = 0.0;
    for (var b = lane; b < step.rows; b += REDUCE_SIZE) {
        log_prob_sum += log_prob[b];
        kl_sum += kl[b];
    }
    log_prob_sum = workgroup_sum(log_prob_sum, lane);
    kl_sum = workgroup_sum(kl_sum, lane);
    if lane == 0u {
        let row = step.row;
        metrics[row] = vec4f(log_prob_sum, kl_sum, 0.0, 0.0);
        // Past the table's end the last step stays: nothing follows it.
        step = steps[min(row + 1u, arrayLength(&steps) - 1u)];
    }
}
