// The categorical likelihood over a vocabulary. It reads the stored product, V logits of each row, and reads them once more to
// overwrite them with their gradient:
//
//   log_probs[row] = logits[k] - log sum_v exp(logits[v]),  k the token of the row; 0 where there is none
//   dlogits[v] = (softmax(logits)[v] - [v = k]) / (examples * SAMPLES), the gradient of the mean of -log_prob
//
// Rows are those of a sequence: (position, example, sample). A workgroup processes a row. Each thread keeps the largest logit that it
// has seen, and the sum relative to it.

#import lib/nan.wgsl
#import lib/step.wgsl

override VOCABULARY: u32;
override OUTPUT_QUADS: u32;
override TRAINS: bool;          // whether the gradient is needed

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;                // (T * B)
@group(0) @binding(2) var<storage, read_write> output: array<vec4f>;        // (T * B * SAMPLES, V): the logits, then their gradient
@group(0) @binding(3) var<storage, read_write> log_probs: array<f32>;       // (T * B * SAMPLES)

const NOTHING = 0xFFFFFFFFu;
const LANES = 64u;
const ROW_OF_GROUPS = 32768u;   // groups along x; more rows are along y
const LEAST = -3.0e38;          // what padding counts as

// The largest logit, and the sum of exp(logit - largest), of each thread.
var<workgroup> partial: array<vec2f, LANES>;

fn exp_of(x: vec4f) -> vec4f {
    return or_nan(exp(x), x);
}

// Four logits of a row. Those past the vocabulary have no share in a sum.
fn logits(row: u32, quad: u32) -> vec4f {
    let exists = vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u) < vec4u(VOCABULARY);
    return select(vec4f(LEAST), output[row * OUTPUT_QUADS + quad], exists);
}

// Two sums, both relative to the larger logit.
fn joined(a: vec2f, b: vec2f) -> vec2f {
    let largest = max(a.x, b.x);
    return vec2f(largest, a.y * exp(a.x - largest) + b.y * exp(b.x - largest));
}

@compute @workgroup_size(LANES)
fn evaluate(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * ROW_OF_GROUPS + group.x;
    if row < live_rows() {
        var own = vec2f(LEAST, 0.0);
        for (var quad = lane; quad < OUTPUT_QUADS; quad += LANES) {
            let x = logits(row, quad);
            let largest = max(max(x.x, x.y), max(x.z, x.w));
            own = joined(own, vec2f(largest, dot(exp_of(x - largest), vec4f(1.0))));
        }
        partial[lane] = own;
        for (var width = LANES / 2u; width > 0u; width /= 2u) {
            workgroupBarrier();
            if lane < width {
                partial[lane] = joined(partial[lane], partial[lane + width]);
            }
        }
        workgroupBarrier();
        let largest = partial[0].x;
        let sum = partial[0].y;
        let token = tokens[row / SAMPLES];
        let is_word = token != NOTHING;
        if lane == 0u {
            var log_prob = 0.0;
            if is_word {
                // The sum is at least 1, since the largest term is 1.
                log_prob = output[row * OUTPUT_QUADS + token / 4u][token % 4u] - largest - log(sum);
            }
            log_probs[row] = log_prob;
        }
        // The first thread has to have read the token's logit.
        workgroupBarrier();
        if TRAINS {
            let weight = select(0.0, 1.0 / f32(rows_of_position()), is_word);
            for (var quad = lane; quad < OUTPUT_QUADS; quad += LANES) {
                let columns = vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u);
                let is_token = select(vec4f(), vec4f(1.0), columns == vec4u(token));
                output[row * OUTPUT_QUADS + quad] = weight * (exp_of(logits(row, quad) - largest) / sum - is_token);
            }
        }
    }
}
