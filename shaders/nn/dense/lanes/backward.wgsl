// The gradients of a dense layer for adapters that run on a CPU, in the shape of lanes.wgsl.
//
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//   backward:         both those and finish(b, i, sum_o doutput[b, o] * weight[o, i]), the gradient of the input
//
// The epilogue defines `finish`. One workgroup is one subgroup of 8 lanes and makes a tile of a result: 32 columns, a quad
// of columns for each lane.

#import nn/dense/lanes/operands.wgsl
#import sums
#import epilogue

override WEIGHT_TILES: u32 = (OUTPUTS + TILE_ROWS - 1u) / TILE_ROWS;

// A tile of the weight's gradient from row `first`.
fn make_dweight(first: u32, column_tile: u32, lane: u32) {
    let first_quad = first / 4u;
    let quad = column_tile * LANES + lane;
    let batch = live_rows();
    var sums: Sums;
    for (var b = 0u; b < batch; b += LANES) {
        // Each lane loads the tile's rows from one example.
        let own = b + lane;
        var d: array<vec4f, TILE_QUADS>;
        for (var j = 0u; j < TILE_QUADS; j++) {
            d[j] = select(vec4f(), load_doutput(own * OUTPUT_QUADS + first_quad + j), own < batch);
        }
        var x: array<vec4f, LANES>;
        for (var k = 0u; k < LANES; k++) {
            x[k] = load_input(min(b + k, batch - 1u) * INPUT_QUADS + quad);
        }
        add_outer_products(&sums, &d, &x);
    }
    if quad < INPUT_QUADS {
        for (var row = first; row < min(first + TILE_ROWS, OUTPUTS); row++) {
            let sum = pick(&sums, row - first);
            let i = row * INPUT_QUADS + quad;
            if ACCUMULATE {
                dweight[i] += sum;
            } else {
                dweight[i] = sum;
            }
        }
    }
    if column_tile == 0u {
        make_dbias(first_quad, lane);
    }
}

// The bias's gradient for a tile's rows: each lane sums every eighth example.
fn make_dbias(first: u32, lane: u32) {
    for (var quad = first; quad < min(first + TILE_QUADS, OUTPUT_QUADS); quad++) {
        var sum = vec4f();
        for (var b = lane; b < live_rows(); b += LANES) {
            sum += load_doutput(b * OUTPUT_QUADS + quad);
        }
        // Lane by lane, in order: the same inputs give the same bits.
        var total = subgroupShuffle(sum, 0u);
        for (var l = 1u; l < LANES; l++) {
            total += subgroupShuffle(sum, l);
        }
        if lane == 0u {
            if ACCUMULATE {
                total += dbias[quad];
            }
            dbias[quad] = keep(total, 4u * quad, OUTPUTS);
        }
    }
}

// A tile of the input's gradient from row `first`; `start` is 0, see lanes.wgsl.
fn make_dinput(first: u32, column_tile: u32, start: u32, lane: u32) {
    let end = min(first + TILE_ROWS, live_rows());
    let quad = column_tile * LANES + lane;
    if first < end {
        var rows: array<u32, TILE_QUADS>;
        for (var j = 0u; j < TILE_QUADS; j++) {
            rows[j] = min(first + 4u * j + lane / 2u, end - 1u) * OUTPUT_QUADS;
        }
        var sums: Sums;
        for (var o = start; o < OUTPUT_QUADS; o += 2u) {
            let own = o + lane % 2u;
            var d: array<vec4f, TILE_QUADS>;
            for (var j = 0u; j < TILE_QUADS; j++) {
                d[j] = select(vec4f(), load_doutput(rows[j] + own), own < OUTPUT_QUADS);
            }
            var w: array<mat4x4f, 2>;
            for (var half = 0u; half < 2u; half++) {
                // Clamped rows are multiplied by the padding of doutput, which is zero.
                let at = min(vec4u(4u * (o + half)) + vec4u(0u, 1u, 2u, 3u), vec4u(OUTPUTS - 1u)) * INPUT_QUADS + quad;
                w[half] = mat4x4f(load_weight(at.x), load_weight(at.y), load_weight(at.z), load_weight(at.w));
            }
            add_product(&sums, &d, &w);
        }
        if quad < INPUT_QUADS {
            for (var row = first; row < end; row++) {
                finish(row, quad, pick(&sums, row - first));
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_weight(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    make_dweight(tile.x * TILE_ROWS, tile.y, lane);
}

// Both gradients have the input's columns: the first workgroups of a column make the weight's, those after them the input's.
@compute @workgroup_size(LANES)
fn backward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    if tile.x < WEIGHT_TILES {
        make_dweight(tile.x * TILE_ROWS, tile.y, lane);
    } else {
        make_dinput((tile.x - WEIGHT_TILES) * TILE_ROWS, tile.y, tile.z, lane);
    }
}
