// The gradients of a dense layer through workgroup memory, in the shape of workgroup.wgsl.
//
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//   backward:         both those and finish(b, i, sum_o doutput[b, o] * weight[o, i]), the gradient of the input
//
// The epilogue defines `finish`. With several slices, along z, each sums a part of the terms: partial.wgsl adds them.

#import sizes
#import rows
#import nn/dense/four.wgsl
#import nn/dense/workgroup/tile.wgsl
#import epilogue
#import nn/dense/workgroup/finish.wgsl
#import nn/dense/workgroup/dweight.wgsl

override BATCH: u32;    // rows of the input's gradient of a slice
override WEIGHT_TILES: u32 = (OUTPUTS + TILE_ROWS - 1u) / TILE_ROWS;

fn finish_row(row: u32, quad: u32, value: vec4f) -> f32 {
    finish_dinput(phase_of(row), row, quad, value);
    return 0.0;
}

// The place of a block of the input's gradient: the right operand, the weight, has rows along the tile.
fn place_in_dinput(block: u32) -> vec2u {
    if block < LEFT_BLOCKS {
        return along_terms(block);
    }
    return along_tile(block - LEFT_BLOCKS, RIGHT_QUADS);
}

fn dweight_shape() -> vec2u {
    return vec2u(OUTPUTS, INPUT_QUADS);
}

fn load_dweight_block(block: u32, first: vec2u, b: u32) -> mat4x4f {
    let at = place_in_dweight(block).y;
    if block < LEFT_BLOCKS {
        return load_examples(b, min(first.x / 4u + at, OUTPUT_QUADS - 1u));
    }
    return load_input(input_rows(b), min(first.y + at, INPUT_QUADS - 1u));
}

fn load_dinput_blocks(phase: Phase, first: vec2u, term: u32, lane: u32) -> Blocks {
    var blocks: Blocks;
    for (var n = 0u; n < BLOCKS; n++) {
        let block = n * THREADS + lane;
        let at = place_in_dinput(block);
        let o = term + at.x;
        if o < terms_of(phase) && block < ALL_BLOCKS {
            if block < LEFT_BLOCKS {
                blocks[n] = transpose(load_doutput(phase, doutput_rows(phase, first.x + 4u * at.y), o));
            } else {
                blocks[n] = weight_terms(phase, o, min(first.y + at.y, DINPUT_QUADS - 1u));
            }
        }
    }
    return blocks;
}

// A tile of the input's gradient, from the sums that it is to be added to; `first` is its first row and first quad.
fn make_dinput(start: Sums, first: vec2u, slice: u32, lane: u32) {
    let thread = vec2u(lane % THREADS_X, lane / THREADS_X);
    let phase = phase_of(first.x);
    let terms = terms_of_slice(slice, terms_of(phase));
    var sums = start;
    var blocks = load_dinput_blocks(phase, first, terms.x, lane);
    var buffer = 0u;
    for (var term = terms.x; term < terms.y; term += DEPTH_QUADS) {
        for (var n = 0u; n < BLOCKS; n++) {
            put_block(n * THREADS + lane, buffer, place_in_dinput(n * THREADS + lane), blocks[n]);
        }
        workgroupBarrier();
        if term + DEPTH_QUADS < terms.y {
            blocks = load_dinput_blocks(phase, first, term + DEPTH_QUADS, lane);
        }
        add_products(&sums, buffer, thread);
        buffer = 1u - buffer;
    }
    finish_tile(&sums, first, vec2u(dinput_rows(), DINPUT_QUADS), slice * BATCH, thread);
}

@compute @workgroup_size(THREADS)
fn backward_weight(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    make_dweight(vec2u(tile.y * TILE_ROWS, tile.x * RIGHT_QUADS), tile.z, lane);
}

// Both gradients have the input's columns: the first rows of workgroups make the weight's, those after them the input's.
@compute @workgroup_size(THREADS)
fn backward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    if tile.y < WEIGHT_TILES {
        make_dweight(vec2u(tile.y * TILE_ROWS, tile.x * RIGHT_QUADS), tile.z, lane);
    } else if (tile.y - WEIGHT_TILES) * TILE_ROWS < live_rows() {
        make_dinput(Sums(), vec2u((tile.y - WEIGHT_TILES) * TILE_ROWS, tile.x * RIGHT_QUADS), tile.z, lane);
    }
}

@compute @workgroup_size(THREADS)
fn transposed(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = vec2u(tile.y * TILE_ROWS, tile.x * RIGHT_QUADS);
    if first.x < dinput_rows() {
        var start: Sums;
        for (var n = 0u; n < THREAD_ROWS * QUAD_COLUMNS; n++) {
            let quad = first.y + lane % THREADS_X + n % QUAD_COLUMNS * THREADS_X;
            start[n] = bias[min(quad, DINPUT_QUADS - 1u)];
        }
        make_dinput(start, first, tile.z, lane);
    }
}
