// The importance-weighted bound of each example, and the weight of each sample in it.
//
//   loss[b] = -(log sum_k exp(log_weights[b, k]) - log SAMPLES)
//   weights[b, k] = exp(log_weights[b, k]) / sum_k exp(log_weights[b, k])
//
// One thread processes one example.

#import lib/nan.wgsl
#import lib/step.wgsl

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> log_weights: array<f32>;       // (B * SAMPLES)
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;     // (B * SAMPLES)
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;        // (B)

@compute @workgroup_size(64)
fn softmax(@builtin(global_invocation_id) id: vec3u) {
    let b = id.x;
    if b < step.examples {
        let first = b * SAMPLES;
        var largest = log_weights[first];
        for (var k = 1u; k < SAMPLES; k++) {
            largest = max(largest, log_weights[first + k]);
        }
        var sum = 0.0;
        for (var k = 0u; k < SAMPLES; k++) {
            sum += exp_or_nan(log_weights[first + k] - largest);
        }
        for (var k = 0u; k < SAMPLES; k++) {
            weights[first + k] = exp_or_nan(log_weights[first + k] - largest) / sum;
        }
        // The sum is at least 1, since the largest term is 1.
        loss[b] = log(f32(SAMPLES)) - log(sum) - largest;
    }
}
