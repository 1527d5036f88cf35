// The gradients of a dense layer for few rows on a wide GPU, in the shape of slices.wgsl.
//
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//   backward:         both those and finish(b, i, sum_o doutput[b, o] * weight[o, i]), the gradient of the input
//
// What `finish` does is up to the epilogue. A workgroup makes 4 rows by 32 columns of a result: 8 tiles of 4 by 4 along y,
// the sum of each cut into 16 slices along x.

#import lib/matrix.wgsl
#import lib/step.wgsl
#import epilogue

override INPUTS: u32;
override OUTPUTS: u32;
override INPUT_QUADS: u32 = (INPUTS + 3u) / 4u;
override OUTPUT_QUADS: u32 = (OUTPUTS + 3u) / 4u;
override ACCUMULATE: bool = false;  // whether the gradients of weight and bias are added to what is there

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> input: array<vec4f>;           // (B, INPUTS)
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;          // (OUTPUTS, INPUTS)
@group(0) @binding(3) var<storage, read> doutput: array<vec4f>;         // (B, OUTPUTS)
@group(0) @binding(4) var<storage, read_write> dweight: array<vec4f>;   // (OUTPUTS, INPUTS)
@group(0) @binding(5) var<storage, read_write> dbias: array<vec4f>;     // (OUTPUTS)

const SLICES = 16u;
const TILES = 8u;
const TILE_ROWS = 4u;       // of a result, by one workgroup
const TILE_COLUMNS = 32u;

var<workgroup> partial_sums: array<mat4x4f, 128>;        // [tile][slice]
var<workgroup> partial_bias: array<vec4f, SLICES>;

// For epilogues.
fn input_quad(row: u32, quad: u32) -> vec4f {
    return input[row * INPUT_QUADS + quad];
}

fn load_doutput(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(doutput[rows.x + quad], doutput[rows.y + quad], doutput[rows.z + quad], doutput[rows.w + quad]);
}

fn load_weight(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(weight[rows.x + quad], weight[rows.y + quad], weight[rows.z + quad], weight[rows.w + quad]);
}

// Row `row` of a tile, over all its slices.
fn total(tile: u32, row: u32) -> vec4f {
    var sum = partial_sums[tile * SLICES][row];
    for (var s = 1u; s < SLICES; s++) {
        sum += partial_sums[tile * SLICES + s][row];
    }
    return sum;
}

// Four rows of the weight's gradient from `o`.
fn make_dweight(o: u32, column_tile: u32, slice: u32, tile: u32) {
    let quad = column_tile * TILES + tile;
    let x_quad = min(quad, INPUT_QUADS - 1u);
    var sum = mat4x4f();
    var bias_sum = vec4f();
    for (var b = slice; b < step.rows * SAMPLES; b += SLICES) {
        let d = doutput[b * OUTPUT_QUADS + o / 4u];
        sum += outer_product(d, input[b * INPUT_QUADS + x_quad]);
        bias_sum += d;
    }
    partial_sums[tile * SLICES + slice] = sum;
    if tile == 0u {
        partial_bias[slice] = bias_sum;
    }
    workgroupBarrier();
    if slice < TILE_ROWS && o + slice < OUTPUTS && quad < INPUT_QUADS {
        let i = (o + slice) * INPUT_QUADS + quad;
        if ACCUMULATE {
            dweight[i] += total(tile, slice);
        } else {
            dweight[i] = total(tile, slice);
        }
    }
    if column_tile == 0u && tile == 0u && slice == 0u {
        var total_bias = partial_bias[0];
        for (var s = 1u; s < SLICES; s++) {
            total_bias += partial_bias[s];
        }
        if ACCUMULATE {
            total_bias += dbias[o / 4u];
        }
        dbias[o / 4u] = total_bias;
    }
}

// Four rows of the input's gradient from `b`.
fn make_dinput(b: u32, column_tile: u32, slice: u32, tile: u32) {
    let quad = column_tile * TILES + tile;
    let w_quad = min(quad, INPUT_QUADS - 1u);
    if b < step.rows * SAMPLES {
        let rows = row_starts(b, step.rows * SAMPLES, OUTPUT_QUADS);
        var sum = mat4x4f();
        for (var o = slice; o < OUTPUT_QUADS; o += SLICES) {
            // Where these rows are clamped, doutput's padding is what they are multiplied by: zero.
            sum += load_weight(row_starts(4u * o, OUTPUTS, INPUT_QUADS), w_quad) * load_doutput(rows, o);
        }
        partial_sums[tile * SLICES + slice] = sum;
    }
    workgroupBarrier();
    if slice < TILE_ROWS && b + slice < step.rows * SAMPLES && quad < INPUT_QUADS {
        finish(b + slice, quad, total(tile, slice));
    }
}

@compute @workgroup_size(SLICES, TILES)
fn backward_weight(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    make_dweight(group.y * TILE_ROWS, group.x, thread.x, thread.y);
}

// Both gradients have the input's columns: the first rows of workgroups make the weight's, those after them the input's.
@compute @workgroup_size(SLICES, TILES)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    if group.y < OUTPUT_QUADS {
        make_dweight(group.y * TILE_ROWS, group.x, thread.x, thread.y);
    } else {
        make_dinput((group.y - OUTPUT_QUADS) * TILE_ROWS, group.x, thread.x, thread.y);
    }
}
