// A dense layer's product for few rows on a wide GPU: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// The epilogue defines `finish`. A workgroup makes TILE_ROWS rows by 32 columns: 8 tiles along y, each a quad wide. The sum of
// each tile is cut into slices along x, so that even a small result keeps many threads busy. Adjacent threads load adjacent
// quads. The slices are summed in order, through workgroup memory.

#import sizes
#import rows
#import nn/dense/four.wgsl
#import nn/dense/slices/sums.wgsl
#import epilogue

var<workgroup> row_sums: array<f32, TILES * TILE_ROWS>;     // [tile][row]

@compute @workgroup_size(SLICES, TILES)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    let slice = thread.x;
    let tile = thread.y;
    let quad = group.x * TILES + tile;
    let b = group.y * TILE_ROWS;
    if b < live_rows() {
        let columns = row_starts(4u * quad, OUTPUTS, INPUT_QUADS);
        var sums: Sums;
        for (var i = slice; i < INPUT_QUADS; i += SLICES) {
            let w = transpose(load_weight(columns, i));
            for (var n = 0u; n < ROW_QUADS; n++) {
                sums[n] += w * load_input(input_rows(b + 4u * n), i);
            }
        }
        put(tile, slice, &sums);
    }
    workgroupBarrier();
    // From here on, each of the first threads of a tile has one row.
    let row = b + slice;
    if slice < TILE_ROWS && row < live_rows() {
        var row_sum = 0.0;
        if quad < OUTPUT_QUADS {
            row_sum = finish(row, quad, total(bias[quad], tile, slice));
        }
        if ROW_SUMS {
            row_sums[tile * TILE_ROWS + slice] = row_sum;
        }
    }
    if ROW_SUMS {
        workgroupBarrier();
        if tile == 0u && slice < TILE_ROWS && row < live_rows() {
            var sum = row_sums[slice];
            for (var t = 1u; t < TILES; t++) {
                sum += row_sums[t * TILE_ROWS + slice];
            }
            finish_block(row, group.x, sum);
        }
    }
}
