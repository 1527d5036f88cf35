// The logarithm of each row's importance weight, in nats.
//
//   log_weights[row] = sum_block log_prob[row, block] - kl_weight * sum_l kl[row, l]
//
// where kl is the sample estimate log q(z|x) - log p(z). One thread makes one of them.

#import lib/step.wgsl

override LOG_PROB_QUADS: u32;
override KL_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> log_prob: array<vec4f>;            // (B * SAMPLES, blocks of D)
@group(0) @binding(2) var<storage, read> kl: array<vec4f>;                  // (B * SAMPLES, L)
@group(0) @binding(3) var<storage, read_write> log_weights: array<f32>;     // (B * SAMPLES)

@compute @workgroup_size(64)
fn sum(@builtin(global_invocation_id) id: vec3u) {
    let row = id.x;
    if row < live_rows() {
        var log_prob_sum = vec4f();
        for (var quad = 0u; quad < LOG_PROB_QUADS; quad++) {
            log_prob_sum += log_prob[row * LOG_PROB_QUADS + quad];
        }
        var kl_sum = vec4f();
        for (var quad = 0u; quad < KL_QUADS; quad++) {
            kl_sum += kl[row * KL_QUADS + quad];
        }
        log_weights[row] = dot(log_prob_sum - kl_weight_of_step() * kl_sum, vec4f(1.0));
    }
}
