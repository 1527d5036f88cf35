// The log probability of each draw of a sentence, the sum over its positions: log_prob[draw] = sum_p log_probs[(p, draw)], in nats.
//
// One thread makes one sum.

#import lib/step.wgsl

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> log_probs: array<f32>;             // (T * B * SAMPLES)
@group(0) @binding(2) var<storage, read_write> log_prob: array<vec4f>;      // (B * SAMPLES, 1)

@compute @workgroup_size(64)
fn sum(@builtin(global_invocation_id) id: vec3u) {
    let draw = id.x;
    if draw < rows_of_position() {
        var total = 0.0;
        for (var row = draw; row < live_rows(); row += rows_of_position()) {
            total += log_probs[row];
        }
        log_prob[draw] = vec4f(total, 0.0, 0.0, 0.0);
    }
}
