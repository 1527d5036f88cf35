// A tile of a product, from tiles of both operands in workgroup memory: each value is loaded once for a whole workgroup.
//
// A turn puts DEPTH terms into one of two buffers, starts the loads for the next turn, and sums the terms. One barrier a turn is
// enough: the buffer that a turn writes was read two turns before. The operands lie term by term, [buffer][term][quad], so that
// threads load quads, and adjacent threads adjacent quads. They come in blocks of four terms by a quad, columns of a mat4x4f: a
// thread has BLOCKS of them, of the left operand or of the right one.

#import lib/matrix.wgsl

const QUAD_ROWS = THREAD_ROWS / 4u;         // quads of rows of a thread
const QUAD_COLUMNS = THREAD_COLUMNS / 4u;
const THREADS_X = TILE_COLUMNS / THREAD_COLUMNS;
const THREADS_Y = TILE_ROWS / THREAD_ROWS;
const THREADS = THREADS_X * THREADS_Y;
const DEPTH_QUADS = DEPTH / 4u;
const LEFT_QUADS = TILE_ROWS / 4u;
const RIGHT_QUADS = TILE_COLUMNS / 4u;
const LEFT_STRIDE = LEFT_QUADS + PAD;
const RIGHT_STRIDE = RIGHT_QUADS + PAD;
const LEFT_BLOCKS = LEFT_QUADS * DEPTH_QUADS;
const ALL_BLOCKS = LEFT_BLOCKS + RIGHT_QUADS * DEPTH_QUADS;
const BLOCKS = (ALL_BLOCKS + THREADS - 1u) / THREADS;
const BLOCK_QUADS = BLOCK / 4u;

// Sums over a row of the result take the place of the left operand.
const_assert LEFT_QUADS * THREADS_X <= 2u * DEPTH * LEFT_STRIDE;
const_assert THREADS_X % BLOCK_QUADS == 0u;
const_assert THREAD_ROWS % 4u == 0u && THREAD_COLUMNS % 4u == 0u && DEPTH % 4u == 0u && THREADS <= 256u;

var<workgroup> left: array<vec4f, 2u * DEPTH * LEFT_STRIDE>;
var<workgroup> right: array<vec4f, 2u * DEPTH * RIGHT_STRIDE>;

alias Sums = array<vec4f, THREAD_ROWS * QUAD_COLUMNS>;  // [row][quad]
alias Blocks = array<mat4x4f, BLOCKS>;

// A block's quad of terms and its quad of the tile, for an operand whose rows go along the terms: adjacent threads load
// adjacent terms.
fn along_terms(block: u32) -> vec2u {
    return vec2u(block % DEPTH_QUADS, block / DEPTH_QUADS);
}

// The same for an operand whose rows go along the tile.
fn along_tile(block: u32, quads: u32) -> vec2u {
    return vec2u(block / quads, block % quads);
}

// The quads of terms that a slice sums: the first one, and the one after the last.
fn terms_of_slice(slice: u32, quads: u32) -> vec2u {
    let turns = (quads + DEPTH_QUADS - 1u) / DEPTH_QUADS;
    let size = (turns + SLICES - 1u) / SLICES * DEPTH_QUADS;
    return min(vec2u(slice, slice + 1u) * size, vec2u(quads));
}

fn put_left(buffer: u32, at: vec2u, block: mat4x4f) {
    let first = (buffer * DEPTH + 4u * at.x) * LEFT_STRIDE + at.y;
    left[first] = block[0];
    left[first + LEFT_STRIDE] = block[1];
    left[first + 2u * LEFT_STRIDE] = block[2];
    left[first + 3u * LEFT_STRIDE] = block[3];
}

fn put_right(buffer: u32, at: vec2u, block: mat4x4f) {
    let first = (buffer * DEPTH + 4u * at.x) * RIGHT_STRIDE + at.y;
    right[first] = block[0];
    right[first + RIGHT_STRIDE] = block[1];
    right[first + 2u * RIGHT_STRIDE] = block[2];
    right[first + 3u * RIGHT_STRIDE] = block[3];
}

// Puts a block of the left operand, or, after those, of the right one.
fn put_block(block: u32, buffer: u32, at: vec2u, values: mat4x4f) {
    if block < LEFT_BLOCKS {
        put_left(buffer, at, values);
    } else if block < ALL_BLOCKS {
        put_right(buffer, at, values);
    }
}

// Adds the terms of a buffer. A thread's quads of rows and of columns are as far apart as there are threads, so that adjacent
// threads load adjacent quads.
fn add_products(sums: ptr<function, Sums>, buffer: u32, thread: vec2u) {
    for (var k = buffer * DEPTH; k < (buffer + 1u) * DEPTH; k++) {
        var b: array<vec4f, QUAD_COLUMNS>;
        for (var j = 0u; j < QUAD_COLUMNS; j++) {
            b[j] = right[k * RIGHT_STRIDE + thread.x + j * THREADS_X];
        }
        for (var i = 0u; i < QUAD_ROWS; i++) {
            let a = left[k * LEFT_STRIDE + thread.y + i * THREADS_Y];
            for (var j = 0u; j < QUAD_COLUMNS; j++) {
                sums[4u * i * QUAD_COLUMNS + j] += a.x * b[j];
                sums[(4u * i + 1u) * QUAD_COLUMNS + j] += a.y * b[j];
                sums[(4u * i + 2u) * QUAD_COLUMNS + j] += a.z * b[j];
                sums[(4u * i + 3u) * QUAD_COLUMNS + j] += a.w * b[j];
            }
        }
    }
}

// One sum, selected by comparison: an index that is not constant would move all of them to memory.
fn pick(sums: ptr<function, Sums>, index: u32) -> vec4f {
    var value = sums[0];
    for (var n = 1u; n < THREAD_ROWS * QUAD_COLUMNS; n++) {
        value = select(value, sums[n], n == index);
    }
    return value;
}

// A row of the tile for a thread's quad of rows.
fn row_of_thread(thread: vec2u, i: u32) -> u32 {
    return 4u * (thread.y + i * THREADS_Y);
}
