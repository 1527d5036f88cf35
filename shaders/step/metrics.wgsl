// Reduces the terms of a step to one row of the metrics, and makes the table's next step the current one.
//
//   metrics[row] = (sum log_prob, sum kl, sum of the loss, as it is) over the step's examples, the mean over an example's samples
//   step = steps[row + 1]
//
// There is one workgroup. It must be the last dispatch of a step: the kernels before it read `step`.

#import lib/reduce.wgsl
#import lib/step.wgsl
#import objective

override LOG_PROB_QUADS: u32;
override KL_QUADS: u32;

@group(0) @binding(0) var<storage, read_write> step: Step;
@group(0) @binding(1) var<storage, read> steps: array<Step>;               // one row a step of the epoch
@group(0) @binding(2) var<storage, read> log_prob: array<vec4f>;           // (B * SAMPLES, blocks of D)
@group(0) @binding(3) var<storage, read> kl: array<vec4f>;                 // (B * SAMPLES, L)
@group(0) @binding(4) var<storage, read_write> metrics: array<vec4f>;      // one row a step of the epoch

@compute @workgroup_size(REDUCE_SIZE)
fn finish(@builtin(local_invocation_index) lane: u32) {
    // The step's examples are the first rows of both tensors, so each is one contiguous run of quads.
    let rows = live_rows();
    var log_prob_sum = vec4f();
    for (var i = lane; i < rows * LOG_PROB_QUADS; i += REDUCE_SIZE) {
        log_prob_sum += log_prob[i];
    }
    var kl_sum = vec4f();
    for (var i = lane; i < rows * KL_QUADS; i += REDUCE_SIZE) {
        kl_sum += kl[i];
    }
    let terms = vec2f(dot(log_prob_sum, vec4f(1.0)), dot(kl_sum, vec4f(1.0))) / f32(SAMPLES);
    let sums = workgroup_sum(vec4f(terms, loss_part(lane, REDUCE_SIZE, terms.x, terms.y), 0.0), lane);
    if lane == 0u {
        let row = step.row;
        // The last value is the norm of the gradients, if an earlier kernel stored it.
        metrics[row] = vec4f(sums.xyz, metrics[row].w);
        // Past the table's end the last step stays: nothing follows it.
        step = steps[min(row + 1u, arrayLength(&steps) - 1u)];
    }
}
