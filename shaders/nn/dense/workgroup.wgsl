// A dense layer's product through workgroup memory: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// The epilogue defines `finish`. A workgroup makes a tile, as in workgroup/tile.wgsl. With several slices, along z, each sums
// a part of the terms, and the epilogue stores it: partial.wgsl adds the slices, and the bias.

#import sizes
#import rows
#import nn/dense/four.wgsl
#import nn/dense/workgroup/tile.wgsl
#import epilogue
#import nn/dense/workgroup/finish.wgsl

override BATCH: u32;    // rows of the result of a slice

// Both operands have rows along the terms.
fn place(block: u32) -> vec2u {
    return along_terms(select(block - LEFT_BLOCKS, block, block < LEFT_BLOCKS));
}

// A thread's blocks for the turn that starts at a quad of terms. `first` is the tile's first row and first quad.
fn load_blocks(first: vec2u, term: u32, lane: u32) -> Blocks {
    var blocks: Blocks;
    for (var n = 0u; n < BLOCKS; n++) {
        let block = n * THREADS + lane;
        let at = place(block);
        let quad = term + at.x;
        if quad < INPUT_QUADS && block < ALL_BLOCKS {
            if block < LEFT_BLOCKS {
                blocks[n] = transpose(load_input(input_rows(first.x + 4u * at.y), quad));
            } else {
                blocks[n] = transpose(load_weight(row_starts(4u * (first.y + at.y), OUTPUTS, INPUT_QUADS), quad));
            }
        }
    }
    return blocks;
}

fn finish_row(row: u32, quad: u32, value: vec4f) -> f32 {
    return finish(row, quad, value);
}

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    let thread = vec2u(lane % THREADS_X, lane / THREADS_X);
    let first = vec2u(tile.y * TILE_ROWS, tile.x * RIGHT_QUADS);
    if first.x < live_rows() {
        var sums: Sums;
        if SLICES == 1u {
            for (var n = 0u; n < THREAD_ROWS * QUAD_COLUMNS; n++) {
                let quad = first.y + thread.x + n % QUAD_COLUMNS * THREADS_X;
                sums[n] = bias[min(quad, OUTPUT_QUADS - 1u)];
            }
        }
        let terms = terms_of_slice(tile.z, INPUT_QUADS);
        var blocks = load_blocks(first, terms.x, lane);
        var buffer = 0u;
        for (var term = terms.x; term < terms.y; term += DEPTH_QUADS) {
            for (var n = 0u; n < BLOCKS; n++) {
                put_block(n * THREADS + lane, buffer, place(n * THREADS + lane), blocks[n]);
            }
            workgroupBarrier();
            if term + DEPTH_QUADS < terms.y {
                blocks = load_blocks(first, term + DEPTH_QUADS, lane);
            }
            add_products(&sums, buffer, thread);
            buffer = 1u - buffer;
        }
        finish_tile(&sums, first, vec2u(live_rows(), OUTPUT_QUADS), tile.z * BATCH, thread);
    }
}
