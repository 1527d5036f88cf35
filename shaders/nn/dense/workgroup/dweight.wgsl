// A tile of the gradient of a weight, and of the bias's, for the kernels that define
//
//   dweight_shape() -> vec2u                             rows and quads of the gradient
//   load_dweight_block(block, first, b) -> mat4x4f       a block of an operand, four examples from `b`
//   store_dweight(row, quad, sum), store_dbias(quad, sum)

#import lib/step.wgsl
#import nn/dense/workgroup/tile.wgsl

// The place of a block: both operands have rows along the tile.
fn place_in_dweight(block: u32) -> vec2u {
    if block < LEFT_BLOCKS {
        return along_tile(block, LEFT_QUADS);
    }
    return along_tile(block - LEFT_BLOCKS, RIGHT_QUADS);
}

// Four examples of a block: zeros past the last one.
fn only_live(first: u32, block: mat4x4f) -> mat4x4f {
    let live = vec4u(first) + vec4u(0u, 1u, 2u, 3u) < vec4u(live_rows());
    return mat4x4f(
        select(vec4f(), block[0], live.x),
        select(vec4f(), block[1], live.y),
        select(vec4f(), block[2], live.z),
        select(vec4f(), block[3], live.w),
    );
}

fn load_dweight_blocks(first: vec2u, term: u32, lane: u32) -> Blocks {
    var blocks: Blocks;
    for (var n = 0u; n < BLOCKS; n++) {
        let block = n * THREADS + lane;
        let b = 4u * (term + place_in_dweight(block).x);
        if block < ALL_BLOCKS {
            blocks[n] = only_live(b, load_dweight_block(block, first, b));
        }
    }
    return blocks;
}

// `first` is the tile's first row and first quad. The results of a slice follow those of the slice before it.
fn make_dweight(first: vec2u, slice: u32, lane: u32) {
    let thread = vec2u(lane % THREADS_X, lane / THREADS_X);
    let terms = terms_of_slice(slice, (live_rows() + 3u) / 4u);
    var sums: Sums;
    var bias_sums: array<vec4f, QUAD_ROWS>;
    var blocks = load_dweight_blocks(first, terms.x, lane);
    var buffer = 0u;
    for (var term = terms.x; term < terms.y; term += DEPTH_QUADS) {
        for (var n = 0u; n < BLOCKS; n++) {
            put_block(n * THREADS + lane, buffer, place_in_dweight(n * THREADS + lane), blocks[n]);
        }
        workgroupBarrier();
        if term + DEPTH_QUADS < terms.y {
            blocks = load_dweight_blocks(first, term + DEPTH_QUADS, lane);
        }
        add_products(&sums, buffer, thread);
        if first.y == 0u && thread.x == 0u {
            for (var k = buffer * DEPTH; k < (buffer + 1u) * DEPTH; k++) {
                for (var i = 0u; i < QUAD_ROWS; i++) {
                    bias_sums[i] += left[k * LEFT_STRIDE + thread.y + i * THREADS_Y];
                }
            }
        }
        buffer = 1u - buffer;
    }
    let shape = dweight_shape();
    for (var i = 0u; i < QUAD_ROWS; i++) {
        let row = first.x + row_of_thread(thread, i);
        for (var n = 0u; n < 4u * QUAD_COLUMNS; n++) {
            let quad = first.y + thread.x + n % QUAD_COLUMNS * THREADS_X;
            let o = row + n / QUAD_COLUMNS;
            if o < shape.x && quad < shape.y {
                store_dweight(slice * shape.x + o, quad, pick(&sums, 4u * i * QUAD_COLUMNS + n));
            }
        }
        if first.y == 0u && thread.x == 0u && row < shape.x {
            store_dbias(slice * ((shape.x + 3u) / 4u) + row / 4u, bias_sums[i]);
        }
    }
}
