// Sums of a block of columns, where a thread has a quad of a row: x is the quad, y the row. A workgroup is as wide as a block.

#import lib/matrix.wgsl

const BLOCK_QUADS = BLOCK / 4u;
const ROWS = 8u;        // of a workgroup

var<workgroup> row_sums: array<f32, ROWS * BLOCK_QUADS>;    // [row][quad]

// Gives the sum of each row of a block to the epilogue, if it has sums.
fn finish_row_sums(own: f32, is_live: bool, row: u32, block: u32, thread: vec3u) {
    if ROW_SUMS {
        row_sums[thread.y * BLOCK_QUADS + thread.x] = own;
        workgroupBarrier();
        if is_live && thread.x == 0u {
            var sum = own;
            for (var t = 1u; t < BLOCK_QUADS; t++) {
                sum += row_sums[thread.y * BLOCK_QUADS + t];
            }
            finish_block(row, block, sum);
        }
    }
}
