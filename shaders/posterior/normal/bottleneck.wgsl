// The narrow part of a model in one kernel, for small batches with one sample of each example: the product that makes the
// diagonal normal posterior, the draw with its KL divergence, and the decoder's first product.
//
//   posterior[b, c] = bias[c] + sum_i hidden[b, i] * weight[c, i],  c < 2L
//   z[b, l], kl[b, l] as in posterior/normal.wgsl
//   finish(b, o, decoder_bias[o] + sum_l z[b, l] * decoder_weight[o, l])
//
// The epilogue defines `finish`. A workgroup has ROWS examples. Each sum of the posterior is cut into slices, one a thread, which are
// added in order; adjacent threads load adjacent quads. Then a thread draws a quad of latents of an example, and then makes a quad of
// columns of all examples.

#import posterior/normal/draw.wgsl
#import prior
#import epilogue

const ROWS = 4u;            // examples of a workgroup
const THREADS = 256u;
const MOST_LATENTS = 64u;

override HIDDEN_QUADS: u32;
override OUTPUTS: u32;      // of the decoder's first product
override SLICES: u32 = THREADS / (2u * L);
override WEIGHT: u32;       // first quads of the parameters in their arena
override BIAS: u32;
override DECODER_WEIGHT: u32;
override DECODER_BIAS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> hidden: array<vec4f>;          // (B, H)
@group(0) @binding(4) var<storage, read> parameters: array<vec4f>;      // (P), the whole arena
@group(0) @binding(5) var<storage, read_write> posterior: array<f32>;   // (B, 2L)

var<workgroup> slice_sums: array<vec4f, THREADS>;               // [column][slice], an example a component
var<workgroup> outputs: array<vec4f, 2u * MOST_LATENTS>;        // [column], an example a component
var<workgroup> draws: array<vec4f, ROWS * MOST_LATENTS / 4u>;   // [example][quad]

// The sum of a slice of a column of the posterior, for the examples from `first`.
fn slice_sum(first: u32, column: u32, slice: u32) -> vec4f {
    let rows = row_starts(first, live_rows(), HIDDEN_QUADS);
    let start = WEIGHT + column * HIDDEN_QUADS;
    var sum = vec4f();
    for (var i = slice; i < HIDDEN_QUADS; i += SLICES) {
        let x = mat4x4f(hidden[rows.x + i], hidden[rows.y + i], hidden[rows.z + i], hidden[rows.w + i]);
        sum += parameters[start + i] * x;
    }
    return sum;
}

// The parameters of the posterior of an example of this workgroup, four latents; zeros past the last latent.
fn normals_of(example: u32, quad: u32) -> Normals {
    var mean = vec4f();
    var given = vec4f();
    for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
        mean[i] = outputs[4u * quad + i][example];
        given[i] = outputs[L + 4u * quad + i][example];
    }
    return Normals(mean, clamp_logvar(given), given);
}

// Draws a quad of latents of an example of this workgroup.
fn draw_quad(row: u32, example: u32, quad: u32) {
    let q = normals_of(example, quad);
    let noise = noise_of(row, quad);
    let draw = reparameterise(q, noise);
    store_draw(row, quad, draw, kl_term(q.mean, q.logvar, draw, noise));
    draws[example * Z_QUADS + quad] = keep(draw, 4u * quad, L);
}

// A quad of columns of the decoder's first product, for the examples from `first`.
fn decode_quad(first: u32, quad: u32) {
    let rows = DECODER_WEIGHT + row_starts(4u * quad, OUTPUTS, Z_QUADS);
    var sums = mat4x4f();
    for (var l = 0u; l < Z_QUADS; l++) {
        let w = mat4x4f(parameters[rows.x + l], parameters[rows.y + l], parameters[rows.z + l], parameters[rows.w + l]);
        let columns = transpose(w);
        for (var example = 0u; example < ROWS; example++) {
            sums[example] += columns * draws[example * Z_QUADS + l];
        }
    }
    for (var example = 0u; example < min(ROWS, live_rows() - first); example++) {
        finish(first + example, quad, parameters[DECODER_BIAS + quad] + sums[example]);
    }
}

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * ROWS;
    let column = lane / SLICES;
    if first < live_rows() && column < 2u * L {
        slice_sums[lane] = slice_sum(first, column, lane % SLICES);
    }
    workgroupBarrier();
    if first < live_rows() && lane < 2u * L {
        var sum = vec4f(parameters[BIAS + lane / 4u][lane % 4u]);
        for (var s = 0u; s < SLICES; s++) {
            sum += slice_sums[lane * SLICES + s];
        }
        outputs[lane] = sum;
        for (var example = 0u; example < min(ROWS, live_rows() - first); example++) {
            posterior[(first + example) * NORMALS_STRIDE + lane] = sum[example];
        }
    }
    workgroupBarrier();
    if lane < ROWS * Z_QUADS && first + lane / Z_QUADS < live_rows() {
        draw_quad(first + lane / Z_QUADS, lane / Z_QUADS, lane % Z_QUADS);
    }
    workgroupBarrier();
    if first < live_rows() {
        for (var quad = lane; 4u * quad < OUTPUTS; quad += THREADS) {
            decode_quad(first, quad);
        }
    }
}
