// The Bernoulli likelihood p(x|z) = prod_d p_d^x_d (1 - p_d)^(1 - x_d), p = sigmoid(logits), from the logits.
//
//   forward:      log_prob[b] = sum_d (x * logits - softplus(logits)), finite unless the sum itself exceeds f32
//   backward:     dlogits = (sigmoid(logits) - x) / rows, the gradient of the mean of -log_prob
//   decode_mean:  mean = sigmoid(logits)
//
// Grey pixels, 0 < x < 1, are allowed; the value is then no log-likelihood of anything.
// forward: one workgroup an example. The others: one thread four pixels, x the quad, y the row b.

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import lib/reduce.wgsl
#import lib/step.wgsl

override D: u32;
override QUADS: u32 = (D + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;               // (B, D)
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;          // (B, D)
@group(0) @binding(3) var<storage, read_write> log_prob: array<f32>;    // (B)
@group(0) @binding(4) var<storage, read_write> dlogits: array<vec4f>;   // (B, D)
@group(0) @binding(5) var<storage, read_write> mean: array<vec4f>;      // (B, D)

@compute @workgroup_size(REDUCE_SIZE)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let b = group.x;
    var sum = vec4f();
    if b < step.rows {
        for (var quad = lane; quad < QUADS; quad += REDUCE_SIZE) {
            let l = logits[b * QUADS + quad];
            sum += keep(x[b * QUADS + quad] * l - softplus(l), 4u * quad, D);
        }
    }
    let total = workgroup_sum(dot(sum, vec4f(1.0)), lane);
    if lane == 0u && b < step.rows {
        log_prob[b] = total;
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let i = b * QUADS + quad;
        dlogits[i] = keep((sigmoid(logits[i]) - x[i]) / f32(step.rows), 4u * quad, D);
    }
}

@compute @workgroup_size(64)
fn decode_mean(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let i = b * QUADS + quad;
        mean[i] = keep(sigmoid(logits[i]), 4u * quad, D);
    }
}
