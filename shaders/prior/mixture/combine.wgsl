// The log density of each row's latents under a mixture, from that under each component, and the responsibilities of the
// components.
//
//   log p(z) = log sum_c exp(scores[row, c]) - log M
//   scores[row, c] becomes the responsibility exp(scores[row, c]) / sum_c exp(scores[row, c])
//   kl[row, l] becomes kl[row, l] - log p(z) / L: log p(z) is not a sum over latents, so each gets an equal part
//
// One workgroup processes one row, a lane every LANES-th component. Sums are kept relative to the largest score so far.

#import lib/matrix.wgsl
#import lib/nan.wgsl
#import lib/step.wgsl

override L: u32;
override COMPONENTS: u32;
override KL_QUADS: u32;
override SCORES_STRIDE: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;      // (B * SAMPLES, M)
@group(0) @binding(2) var<storage, read_write> kl: array<vec4f>;        // (B * SAMPLES, L)

const LANES = 64u;

var<workgroup> partial_sums: array<vec2f, LANES>;       // (the largest score, the sum of the exponentials relative to it)

fn merge(a: vec2f, b: vec2f) -> vec2f {
    let largest = max(a.x, b.x);
    return vec2f(largest, a.y * exp(a.x - largest) + b.y * exp(b.x - largest));
}

@compute @workgroup_size(LANES)
fn combine(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = group.x;
    let counts = row < live_rows();
    // Below every score, and finite, so that the difference of two of them is 0 and not NaN.
    var own = vec2f(-3.0e38, 0.0);
    if counts {
        for (var c = lane; c < COMPONENTS; c += LANES) {
            own.x = max(own.x, scores[row * SCORES_STRIDE + c]);
        }
        for (var c = lane; c < COMPONENTS; c += LANES) {
            own.y += exp_or_nan(scores[row * SCORES_STRIDE + c] - own.x);
        }
    }
    partial_sums[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            partial_sums[lane] = merge(partial_sums[lane], partial_sums[lane + width]);
        }
    }
    workgroupBarrier();
    if counts {
        // The sum is at least 1, since the largest term is 1.
        let all = partial_sums[0];
        for (var c = lane; c < COMPONENTS; c += LANES) {
            let at = row * SCORES_STRIDE + c;
            scores[at] = exp_or_nan(scores[at] - all.x) / all.y;
        }
        let log_prob = all.x + (log(all.y) - log(f32(COMPONENTS)));
        for (var quad = lane; quad < KL_QUADS; quad += LANES) {
            let at = row * KL_QUADS + quad;
            kl[at] = keep(kl[at] - log_prob / f32(L), 4u * quad, L);
        }
    }
}
