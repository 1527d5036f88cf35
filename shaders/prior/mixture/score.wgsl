// The log density of each row's latents under each component of a mixture, in nats, constants included.
//
//   scores[row, c] = log N(z; m_c, exp(v_c)) = log_scales[c] - 1/2 sum_l (z - m[c, l])^2 precisions[c, l]
//
// One thread processes one component and eight rows: x is the component, y the eight rows. Rows past the last are clamped
// to it for loads and left out by the stores.

#import lib/matrix.wgsl
#import lib/step.wgsl

override COMPONENTS: u32;
override Z_QUADS: u32;
override SCORES_STRIDE: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;               // (B * SAMPLES, L)
@group(0) @binding(2) var<storage, read> means: array<vec4f>;           // (M, L)
@group(0) @binding(3) var<storage, read> precisions: array<vec4f>;      // (M, L)
@group(0) @binding(4) var<storage, read> log_scales: array<f32>;        // (M)
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;      // (B * SAMPLES, M)

const ROWS = 8u;

fn distance(at: u32, mean: vec4f, inverse_variance: vec4f) -> vec4f {
    let offset = z[at] - mean;
    return offset * offset * inverse_variance;
}

fn store(row: u32, c: u32, sum: vec4f) {
    if row < live_rows() {
        scores[row * SCORES_STRIDE + c] = log_scales[c] - 0.5 * dot(sum, vec4f(1.0));
    }
}

@compute @workgroup_size(64)
fn score(@builtin(workgroup_id) group: vec3u, @builtin(global_invocation_id) id: vec3u) {
    let c = id.x;
    let first = group.y * ROWS;
    if c < COMPONENTS && first < live_rows() {
        let top = row_starts(first, live_rows(), Z_QUADS);
        let bottom = row_starts(first + 4u, live_rows(), Z_QUADS);
        var sum0 = vec4f(); var sum1 = vec4f(); var sum2 = vec4f(); var sum3 = vec4f();
        var sum4 = vec4f(); var sum5 = vec4f(); var sum6 = vec4f(); var sum7 = vec4f();
        for (var quad = 0u; quad < Z_QUADS; quad++) {
            let mean = means[c * Z_QUADS + quad];
            // Padding adds nothing: its inverse variance is zero.
            let inverse_variance = precisions[c * Z_QUADS + quad];
            sum0 += distance(top.x + quad, mean, inverse_variance);
            sum1 += distance(top.y + quad, mean, inverse_variance);
            sum2 += distance(top.z + quad, mean, inverse_variance);
            sum3 += distance(top.w + quad, mean, inverse_variance);
            sum4 += distance(bottom.x + quad, mean, inverse_variance);
            sum5 += distance(bottom.y + quad, mean, inverse_variance);
            sum6 += distance(bottom.z + quad, mean, inverse_variance);
            sum7 += distance(bottom.w + quad, mean, inverse_variance);
        }
        store(first, c, sum0);
        store(first + 1u, c, sum1);
        store(first + 2u, c, sum2);
        store(first + 3u, c, sum3);
        store(first + 4u, c, sum4);
        store(first + 5u, c, sum5);
        store(first + 6u, c, sum6);
        store(first + 7u, c, sum7);
    }
}
