// The gradients of a dense layer for few rows on a wide GPU, in the shape of slices.wgsl.
//
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//   backward:         both those and finish(b, i, sum_o doutput[b, o] * weight[o, i]), the gradient of the input
//
// The epilogue defines `finish`. A workgroup makes 4 rows by 32 columns of a result: 8 tiles of 4 by 4 along y, with the
// sum of each cut into 16 slices along x.

#import nn/dense/operands.wgsl
#import epilogue

const SLICES = 16u;
const TILES = 8u;
const TILE_ROWS = 4u;       // of a result, by one workgroup
const TILE_COLUMNS = 32u;

var<workgroup> partial_sums: array<mat4x4f, TILES * SLICES>;        // [tile][slice]
var<workgroup> partial_bias: array<vec4f, SLICES>;

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
    for (var b = slice; b < live_rows(); b += SLICES) {
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
    if b < live_rows() {
        let rows = row_starts(b, live_rows(), OUTPUT_QUADS);
        var sum = mat4x4f();
        for (var o = slice; o < OUTPUT_QUADS; o += SLICES) {
            // Clamped rows are multiplied by the padding of doutput, which is zero.
            sum += load_weight(row_starts(4u * o, OUTPUTS, INPUT_QUADS), w_quad) * load_doutput(rows, o);
        }
        partial_sums[tile * SLICES + slice] = sum;
    }
    workgroupBarrier();
    if slice < TILE_ROWS && b + slice < live_rows() && quad < INPUT_QUADS {
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
