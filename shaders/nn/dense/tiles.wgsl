// A dense layer's product, from registers: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// The epilogue defines `finish`. One thread makes 8 rows by 8 columns of the result: four mat4x4f, each with four rows of
// one quad. Rows and quads past the end are clamped for loads and left out by the stores.

#import sizes
#import rows
#import nn/dense/four.wgsl
#import epilogue

// A thread of a workgroup sums each row of its blocks.
const_assert TILE_ROWS == 64u && TILE_COLUMNS == 64u;

const THREAD_COLUMNS = 8u;  // of the result, by one thread
const BLOCK_THREADS = BLOCK / THREAD_COLUMNS;    // beside each other, that make a block

var<workgroup> row_sums: array<f32, TILE_COLUMNS / THREAD_COLUMNS * TILE_ROWS>;   // [column of threads][row of the tile]

// Sums each row of a block over the threads that made it: one thread a row.
fn finish_block_of_rows(row: u32, block: u32, slot: u32) {
    if row < live_rows() && block * BLOCK < OUTPUTS {
        // The last block may be narrower.
        let threads = min(BLOCK_THREADS, (OUTPUT_QUADS - block * BLOCK / 4u + 1u) / 2u);
        var sum = row_sums[slot];
        for (var thread = 1u; thread < threads; thread++) {
            sum += row_sums[slot + thread * TILE_ROWS];
        }
        finish_block(row, block, sum);
    }
}

@compute @workgroup_size(TILE_COLUMNS / 8u, TILE_ROWS / 8u)
fn forward(
    @builtin(workgroup_id) tile: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = tile.x * TILE_COLUMNS / 4u + 2u * thread.x;
    let b = tile.y * TILE_ROWS + 8u * thread.y;
    if quad < OUTPUT_QUADS && b < live_rows() {
        let top = input_rows(b);
        let bottom = input_rows(b + 4u);
        let left = row_starts(4u * quad, OUTPUTS, INPUT_QUADS);
        let right = row_starts(4u * quad + 4u, OUTPUTS, INPUT_QUADS);
        let bias_left = bias[quad];
        let bias_right = bias[min(quad + 1u, OUTPUT_QUADS - 1u)];
        var top_left = mat4x4f(bias_left, bias_left, bias_left, bias_left);
        var top_right = mat4x4f(bias_right, bias_right, bias_right, bias_right);
        var bottom_left = top_left;
        var bottom_right = top_right;
        for (var i = 0u; i < INPUT_QUADS; i++) {
            let w_left = transpose(load_weight(left, i));
            let w_right = transpose(load_weight(right, i));
            let x_top = load_input(top, i);
            let x_bottom = load_input(bottom, i);
            top_left += w_left * x_top;
            top_right += w_right * x_top;
            bottom_left += w_left * x_bottom;
            bottom_right += w_right * x_bottom;
        }
        let quads = min(2u, OUTPUT_QUADS - quad);
        for (var row = b; row < min(b + 8u, live_rows()); row++) {
            var sum = 0.0;
            for (var side = 0u; side < quads; side++) {
                let value_left = row_of(top_left, bottom_left, row - b);
                let value_right = row_of(top_right, bottom_right, row - b);
                sum += finish(row, quad + side, select(value_left, value_right, side == 1u));
            }
            if ROW_SUMS {
                row_sums[thread.x * TILE_ROWS + row % TILE_ROWS] = sum;
            }
        }
    }
    if ROW_SUMS {
        workgroupBarrier();
        let row = tile.y * TILE_ROWS + lane;
        let block = tile.x * TILE_COLUMNS / BLOCK;
        finish_block_of_rows(row, block, lane);
        finish_block_of_rows(row, block + 1u, lane + BLOCK_THREADS * TILE_ROWS);
    }
}
