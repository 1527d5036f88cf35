// A dense layer's product for few rows on a wide GPU: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// The epilogue defines `finish`. A workgroup makes 4 rows by 32 columns: 8 tiles of 4 by 4 along y. The sum of each tile is
// cut into 16 slices along x, so that even a small result keeps many threads busy. Adjacent threads load adjacent quads.
// The slices are summed in order, through workgroup memory.

#import nn/dense/operands.wgsl
#import epilogue

const SLICES = 16u;
const TILES = 8u;
const TILE_ROWS = 4u;       // of the result, by one workgroup
const TILE_COLUMNS = 32u;

var<workgroup> partial_sums: array<mat4x4f, TILES * SLICES>;    // [tile][slice]
var<workgroup> row_sums: array<vec4f, TILES>;        // of each tile

@compute @workgroup_size(SLICES, TILES)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    let slice = thread.x;
    let tile = thread.y;
    let quad = group.x * TILES + tile;
    let b = group.y * TILE_ROWS;
    if b < live_rows() {
        let rows = row_starts(b, live_rows(), INPUT_QUADS);
        let columns = row_starts(4u * quad, OUTPUTS, INPUT_QUADS);
        var sum = mat4x4f();
        for (var i = slice; i < INPUT_QUADS; i += SLICES) {
            sum += transpose(load_weight(columns, i)) * load_input(rows, i);
        }
        partial_sums[tile * SLICES + slice] = sum;
    }
    workgroupBarrier();
    // From here on, each of the first four threads of a tile has one row.
    let row = b + slice;
    if slice < TILE_ROWS && row < live_rows() {
        var row_sum = 0.0;
        if quad < OUTPUT_QUADS {
            var value = bias[quad];
            for (var s = 0u; s < SLICES; s++) {
                value += partial_sums[tile * SLICES + s][slice];
            }
            row_sum = finish(row, quad, value);
        }
        if ROW_SUMS {
            row_sums[tile][slice] = row_sum;
        }
    }
    if ROW_SUMS {
        workgroupBarrier();
        if tile == 0u && slice < TILE_ROWS && row < live_rows() {
            var sum = row_sums[0][slice];
            for (var t = 1u; t < TILES; t++) {
                sum += row_sums[t][slice];
            }
            finish_block(row, group.x, sum);
        }
    }
}
