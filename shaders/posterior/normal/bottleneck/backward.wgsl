// The gradient through the narrow part of a model in one kernel, in the shape of bottleneck.wgsl; those of the parameters are not part of
// it. It is for the ELBO as the objective and a KL divergence in closed form, as posterior/normal/backward.wgsl.
//
//   dz[b, l] = sum_o doutput[b, o] * decoder_weight[o, l]
//   dmean, dlogvar as in posterior/normal/backward.wgsl
//   finish(b, i, sum_c dposterior[b, c] * weight[c, i]),  c < 2L, the gradient of the encoder's last hidden values
//
// The epilogue defines `finish`. A workgroup has ROWS examples. A thread sums a slice of a quad of dz for all of them; the slices are added
// in order.

#import lib/matrix.wgsl
#import lib/step.wgsl
#import posterior/normal/parameters.wgsl
#import prior
#import epilogue

const ROWS = 4u;            // examples of a workgroup
const THREADS = 128u;
const MOST_LATENTS = 64u;

override HIDDEN_QUADS: u32; // of the encoder's last hidden values
override OUTPUTS: u32;      // of the decoder's first product
override DOUTPUT_QUADS: u32;
override Z_QUADS: u32;
override SLICES: u32 = THREADS / Z_QUADS;
override WEIGHT: u32;       // first quads of the parameters in their arena
override DECODER_WEIGHT: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> doutput: array<vec4f>;         // (B, OUTPUTS), of the decoder's first product
@group(0) @binding(2) var<storage, read> z: array<vec4f>;               // (B, L)
@group(0) @binding(4) var<storage, read> parameters: array<vec4f>;      // (P), the whole arena

var<workgroup> slice_sums: array<mat4x4f, THREADS>;                     // [slice][quad], an example a column
var<workgroup> dposterior: array<f32, 2u * ROWS * MOST_LATENTS>;        // [example][column]

// The sum of a slice of a quad of dz, for the examples from `first`.
fn slice_sum(first: u32, quad: u32, slice: u32) -> mat4x4f {
    let rows = row_starts(first, live_rows(), DOUTPUT_QUADS);
    var sums = mat4x4f();
    for (var o = slice; o < DOUTPUT_QUADS; o += SLICES) {
        // Clamped rows are multiplied by the padding of doutput, which is zero.
        let at = DECODER_WEIGHT + row_starts(4u * o, OUTPUTS, Z_QUADS) + quad;
        let w = mat4x4f(parameters[at.x], parameters[at.y], parameters[at.z], parameters[at.w]);
        sums += w * mat4x4f(doutput[rows.x + o], doutput[rows.y + o], doutput[rows.z + o], doutput[rows.w + o]);
    }
    return sums;
}

// Passes a quad of dz of an example on to the posterior.
fn pass_on(row: u32, example: u32, quad: u32) {
    var dz = vec4f();
    for (var s = 0u; s < SLICES; s++) {
        dz += slice_sums[s * Z_QUADS + quad][example];
    }
    let q = load_normals(row, quad);
    let weight = kl_weight_of_step() / f32(step.examples);
    let dmean = dz + weight * kl_dmean(q.mean, q.logvar);
    let through_draw = 0.5 * dz * (z[row * Z_QUADS + quad] - q.mean);
    let dgiven = through_clamp(q.given, through_draw + weight * kl_dlogvar(q.mean, q.logvar));
    store_gradients(row, quad, dmean, dgiven);
    for (var i = 0u; i < min(4u, L - 4u * quad); i++) {
        dposterior[2u * L * example + 4u * quad + i] = dmean[i];
        dposterior[2u * L * example + L + 4u * quad + i] = dgiven[i];
    }
}

// A quad of columns of the gradient of the hidden values, for the examples from `first`.
fn finish_quad(first: u32, quad: u32) {
    var sums = mat4x4f();
    for (var c = 0u; c < 2u * L; c++) {
        let w = parameters[WEIGHT + c * HIDDEN_QUADS + quad];
        for (var example = 0u; example < ROWS; example++) {
            sums[example] += dposterior[2u * L * example + c] * w;
        }
    }
    for (var example = 0u; example < min(ROWS, live_rows() - first); example++) {
        finish(first + example, quad, sums[example]);
    }
}

@compute @workgroup_size(THREADS)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * ROWS;
    if first < live_rows() && lane < SLICES * Z_QUADS {
        slice_sums[lane] = slice_sum(first, lane % Z_QUADS, lane / Z_QUADS);
    }
    workgroupBarrier();
    if lane < ROWS * Z_QUADS && first + lane / Z_QUADS < live_rows() {
        pass_on(first + lane / Z_QUADS, lane / Z_QUADS, lane % Z_QUADS);
    }
    workgroupBarrier();
    if first < live_rows() {
        for (var quad = lane; quad < HIDDEN_QUADS; quad += THREADS) {
            finish_quad(first, quad);
        }
    }
}
