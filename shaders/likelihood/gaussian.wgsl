// The Gaussian likelihood p(x|z) = N(x; mean, exp(logvar) I) with one variance for all dimensions, learned or fixed.
//
//   forward:          log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))
//   backward:         dmean = (mean - x) * exp(-logvar) / rows, the gradient of the mean of -log_prob
//   backward_logvar:  dlogvar = 1/2 * sum_b (D - squared_error[b] * exp(-logvar)) / rows
//   decode_mean:      mean, copied
//
// forward: one workgroup an example. backward_logvar: one workgroup in all.
// The others: one thread four pixels, x the quad, y the row b.

#import lib/matrix.wgsl
#import lib/reduce.wgsl
#import lib/step.wgsl

override D: u32;
override QUADS: u32 = (D + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;                     // (B, D)
@group(0) @binding(2) var<storage, read> mean: array<vec4f>;                  // (B, D), what the decoder puts out
@group(0) @binding(3) var<storage, read> logvar: array<f32>;                  // (1)
@group(0) @binding(4) var<storage, read_write> log_prob: array<f32>;          // (B)
@group(0) @binding(5) var<storage, read_write> squared_error: array<f32>;     // (B), sum_d (x - mean)^2
@group(0) @binding(6) var<storage, read_write> dmean: array<vec4f>;           // (B, D)
@group(0) @binding(7) var<storage, read_write> dlogvar: array<f32>;           // (1)
@group(0) @binding(8) var<storage, read_write> decoded: array<vec4f>;         // (B, D)

const LOG_TWO_PI = 1.8378770664093453;

@compute @workgroup_size(REDUCE_SIZE)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let b = group.x;
    var sum = 0.0;
    if b < step.rows {
        for (var quad = lane; quad < QUADS; quad += REDUCE_SIZE) {
            // The padding is zero on both sides.
            let error = x[b * QUADS + quad] - mean[b * QUADS + quad];
            sum += dot(error, error);
        }
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u && b < step.rows {
        squared_error[b] = total;
        log_prob[b] = -0.5 * (f32(D) * (LOG_TWO_PI + logvar[0]) + total * exp(-logvar[0]));
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let i = b * QUADS + quad;
        dmean[i] = (mean[i] - x[i]) * (exp(-logvar[0]) / f32(step.rows));
    }
}

@compute @workgroup_size(REDUCE_SIZE)
fn backward_logvar(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var b = lane; b < step.rows; b += REDUCE_SIZE) {
        sum += f32(D) - squared_error[b] * exp(-logvar[0]);
    }
    let total = workgroup_sum(sum, lane);
    if lane == 0u {
        dlogvar[0] = 0.5 * total / f32(step.rows);
    }
}

@compute @workgroup_size(64)
fn decode_mean(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        decoded[b * QUADS + quad] = mean[b * QUADS + quad];
    }
}
