// Gives the sums of a tile to the epilogue, through `finish_row(row, quad, value) -> f32` of the kernel.

#import nn/dense/workgroup/tile.wgsl

// `first` is the tile's first row and first quad, `end` the ones after the last of the result. Rows are counted from
// `origin` by the epilogue: the result of a slice follows that of the slice before it.
fn finish_tile(sums: ptr<function, Sums>, first: vec2u, end: vec2u, origin: u32, thread: vec2u) {
    if ROW_SUMS {
        // The left operand is no longer needed.
        workgroupBarrier();
    }
    for (var j = 0u; j < QUAD_COLUMNS; j++) {
        let quad = first.y + thread.x + j * THREADS_X;
        for (var i = 0u; i < QUAD_ROWS; i++) {
            let row = first.x + row_of_thread(thread, i);
            var row_sums = vec4f();
            for (var r = 0u; r < 4u; r++) {
                if row + r < end.x && quad < end.y {
                    row_sums[r] = finish_row(origin + row + r, quad, pick(sums, (4u * i + r) * QUAD_COLUMNS + j));
                }
            }
            if ROW_SUMS {
                left[(thread.y + i * THREADS_Y) * THREADS_X + thread.x] = row_sums;
            }
        }
        if ROW_SUMS {
            workgroupBarrier();
            finish_blocks(first + vec2u(0u, j * THREADS_X), end, origin, thread);
            workgroupBarrier();
        }
    }
}

// Sums each row of the blocks over the threads that made them: one thread a quad of rows and a block.
fn finish_blocks(first: vec2u, end: vec2u, origin: u32, thread: vec2u) {
    const ROW_BLOCKS = THREADS_X / BLOCK_QUADS;
    for (var n = thread.y * THREADS_X + thread.x; n < LEFT_QUADS * ROW_BLOCKS; n += THREADS) {
        let row = first.x + 4u * (n / ROW_BLOCKS);
        let quad = first.y + n % ROW_BLOCKS * BLOCK_QUADS;
        var sums = left[n * BLOCK_QUADS];
        for (var t = 1u; t < BLOCK_QUADS; t++) {
            sums += left[n * BLOCK_QUADS + t];
        }
        for (var r = 0u; r < 4u; r++) {
            if row + r < end.x && quad < end.y {
                finish_block(origin + row + r, quad / BLOCK_QUADS, sums[r]);
            }
        }
    }
}
