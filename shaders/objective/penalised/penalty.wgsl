// Penalties that replace the KL divergence, as functions of each latent's mean KL over the batch, kl[l], in nats.
//
//   free_bits:  penalty = w sum_l max(kl[l], FREE_BITS),  kl_weights[l] = w if kl[l] > FREE_BITS, else 0
//   free_bits_total: the same for sum_l kl[l]
//   capacity:   penalty = w |sum_l kl[l] - capacity|,     kl_weights[l] = w sign(sum_l kl[l] - capacity)
//
// w is the step's KL weight. There is one workgroup; a lane processes every REDUCE_SIZE-th quad of latents.

#import lib/matrix.wgsl
#import lib/reduce.wgsl
#import lib/step.wgsl

override L: u32;
override FREE_BITS: f32;
override KL_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> kl: array<vec4f>;                  // (B * SAMPLES, L)
@group(0) @binding(2) var<storage, read_write> kl_weights: array<vec4f>;    // (L)
@group(0) @binding(3) var<storage, read_write> penalty: array<f32>;         // (1)

fn mean_kl(quad: u32) -> vec4f {
    var sum = vec4f();
    for (var row = 0u; row < live_rows(); row++) {
        sum += kl[row * KL_QUADS + quad];
    }
    return sum / f32(live_rows());
}

@compute @workgroup_size(REDUCE_SIZE)
fn free_bits(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4f();
    for (var quad = lane; quad < KL_QUADS; quad += REDUCE_SIZE) {
        let mean = mean_kl(quad);
        // A comparison with NaN is false: NaN stays in the sum.
        let free = mean <= vec4f(FREE_BITS);
        sum += keep(select(mean, vec4f(FREE_BITS), free), 4u * quad, L);
        kl_weights[quad] = keep(select(vec4f(kl_weight_of_step()), vec4f(), free), 4u * quad, L);
    }
    sum = workgroup_sum(sum, lane);
    if lane == 0u {
        penalty[0] = kl_weight_of_step() * dot(sum, vec4f(1.0));
    }
}

@compute @workgroup_size(REDUCE_SIZE)
fn free_bits_total(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4f();
    for (var quad = lane; quad < KL_QUADS; quad += REDUCE_SIZE) {
        sum += mean_kl(quad);
    }
    let total = dot(workgroup_sum(sum, lane), vec4f(1.0));
    let free = total <= FREE_BITS;
    for (var quad = lane; quad < KL_QUADS; quad += REDUCE_SIZE) {
        kl_weights[quad] = keep(vec4f(select(kl_weight_of_step(), 0.0, free)), 4u * quad, L);
    }
    if lane == 0u {
        penalty[0] = kl_weight_of_step() * select(total, FREE_BITS, free);
    }
}

@compute @workgroup_size(REDUCE_SIZE)
fn capacity(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4f();
    for (var quad = lane; quad < KL_QUADS; quad += REDUCE_SIZE) {
        sum += mean_kl(quad);
    }
    let excess = dot(workgroup_sum(sum, lane), vec4f(1.0)) - step.objective.y;
    for (var quad = lane; quad < KL_QUADS; quad += REDUCE_SIZE) {
        kl_weights[quad] = keep(vec4f(kl_weight_of_step() * sign(excess)), 4u * quad, L);
    }
    if lane == 0u {
        penalty[0] = kl_weight_of_step() * abs(excess);
    }
}
