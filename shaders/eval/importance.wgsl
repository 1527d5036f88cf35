// Adds the importance weights of a step to the running sums of each example.
//
//   estimates[example] = (largest log weight m, sum exp(log_weights - m), sum log_weights, 0)
//
// over all samples so far, so that log p(x) is about m + log(sum / K). The samples may be split over several steps; the
// first step starts from zero. One thread processes one example.

#import lib/nan.wgsl
#import lib/step.wgsl

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> log_weights: array<f32>;           // (B * SAMPLES)
@group(0) @binding(2) var<storage, read_write> estimates: array<vec4f>;     // (N)

@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3u) {
    let b = id.x;
    if b < step.examples {
        let example = step.first + b;
        let first = b * SAMPLES;
        // Some samples of the last step may not count.
        let end = first + min(SAMPLES, step.live_samples);
        var largest = log_weights[first];
        for (var row = first + 1u; row < end; row++) {
            largest = max(largest, log_weights[row]);
        }
        var sum = 0.0;
        var known_total = 0.0;
        if step.first_sample > 0u {
            let known = estimates[example];
            largest = max(largest, known.x);
            sum = known.y * exp(known.x - largest);
            known_total = known.z;
        }
        var total = 0.0;
        for (var row = first; row < end; row++) {
            sum += exp_or_nan(log_weights[row] - largest);
            total += log_weights[row];
        }
        estimates[example] = vec4f(largest, sum, known_total + total, 0.0);
    }
}
