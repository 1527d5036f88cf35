// The gradients of a dense layer for subgroups, in the shape of lanes.wgsl.
//
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//   backward:         both those and finish(b, i, sum_o doutput[b, o] * weight[o, i]), the gradient of the input
//
// The epilogue defines `finish`. A cluster of 8 lanes makes a tile of a result: 32 columns, a quad of columns for each lane.

#import sizes
#import rows
#import nn/dense/lanes/sums.wgsl
#import epilogue

override WEIGHT_TILES: u32 = (OUTPUTS + TILE_ROWS - 1u) / TILE_ROWS;

// A thread of a workgroup.
struct Place {
    cluster: u32,
    lane: u32,      // in its cluster
    start: u32,     // the lane of the subgroup where its cluster starts
}

fn place(thread: u32, subgroup_lane: u32) -> Place {
    return Place(cluster_of(thread), thread % LANES, cluster_start(subgroup_lane));
}

// A tile of the weight's gradient; the workgroup's starts at row `tile_first`.
fn make_dweight(tile_first: u32, column_tile: u32, at: Place) {
    let first = tile_first + at.cluster * CLUSTER_ROWS;
    let first_quad = first / 4u;
    let quad = column_tile * LANES + at.lane;
    let batch = live_rows();
    var sums: Sums;
    for (var b = 0u; b < batch; b += LANES) {
        // Each lane loads the tile's rows from one example.
        let own = b + at.lane;
        var d: array<vec4f, CLUSTER_QUADS>;
        for (var j = 0u; j < CLUSTER_QUADS; j++) {
            d[j] = select(vec4f(), doutput_at(own * OUTPUT_QUADS + first_quad + j), own < batch);
        }
        var x: array<vec4f, LANES>;
        for (var k = 0u; k < LANES; k++) {
            x[k] = input_term(input_row(min(b + k, batch - 1u)), quad);
        }
        add_outer_products(&sums, &d, &x, at.start);
    }
    if quad < INPUT_QUADS {
        for (var row = first; row < min(first + CLUSTER_ROWS, OUTPUTS); row++) {
            store_dweight(row, quad, pick(&sums, row - first));
        }
    }
    if column_tile == 0u {
        // The first cluster's quads: no cluster has more.
        make_dbias(first_quad, min(CLUSTER_QUADS, OUTPUT_QUADS - tile_first / 4u), at);
    }
}

// The bias's gradient for a tile's rows: each lane sums every eighth example.
fn make_dbias(first: u32, quads: u32, at: Place) {
    for (var n = 0u; n < quads; n++) {
        let quad = first + n;
        var sum = vec4f();
        for (var b = at.lane; b < live_rows(); b += LANES) {
            sum += doutput_at(b * OUTPUT_QUADS + quad);
        }
        // Lane by lane, in order: the same inputs give the same bits.
        var total = subgroupShuffle(sum, at.start);
        for (var l = 1u; l < LANES; l++) {
            total += subgroupShuffle(sum, at.start + l);
        }
        if at.lane == 0u && quad < OUTPUT_QUADS {
            store_dbias(quad, keep(total, 4u * quad, OUTPUTS));
        }
    }
}

// A tile of the input's gradient, to which a quad is added; `turn` is 0, see lanes.wgsl.
fn make_dinput(tile_first: u32, quad: u32, turn: u32, at: Place, shift: vec4f) {
    let first = tile_first + at.cluster * CLUSTER_ROWS;
    if tile_first < dinput_rows() {
        let phase = phase_of(tile_first);
        let terms = terms_of(phase);
        var rows: array<DoutputRow, CLUSTER_QUADS>;
        for (var j = 0u; j < CLUSTER_QUADS; j++) {
            rows[j] = doutput_row(phase, min(first + 4u * j + at.lane / 2u, dinput_rows() - 1u));
        }
        var sums: Sums;
        for (var o = turn; o < terms; o += 2u) {
            let own = o + at.lane % 2u;
            var d: array<vec4f, CLUSTER_QUADS>;
            for (var j = 0u; j < CLUSTER_QUADS; j++) {
                d[j] = select(vec4f(), doutput_term(phase, rows[j], own), own < terms);
            }
            var w: array<mat4x4f, 2>;
            for (var half = 0u; half < 2u; half++) {
                w[half] = weight_terms(phase, o + half, quad);
            }
            add_product(&sums, &d, &w, at.start);
        }
        if quad < DINPUT_QUADS {
            for (var row = first; row < min(first + CLUSTER_ROWS, dinput_rows()); row++) {
                finish_dinput(phase, row, quad, pick(&sums, row - first) + shift);
            }
        }
    }
}

@compute @workgroup_size(LANES * CLUSTERS)
fn backward_weight(
    @builtin(workgroup_id) tile: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    make_dweight(tile.x * TILE_ROWS, tile.y, place(thread, subgroup_lane));
}

// Both gradients have the input's columns: the first workgroups of a column make the weight's, those after them the input's.
@compute @workgroup_size(LANES * CLUSTERS)
fn backward(
    @builtin(workgroup_id) tile: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let at = place(thread, subgroup_lane);
    if tile.x < WEIGHT_TILES {
        make_dweight(tile.x * TILE_ROWS, tile.y, at);
    } else {
        make_dinput((tile.x - WEIGHT_TILES) * TILE_ROWS, tile.y * LANES + at.lane, tile.z, at, vec4f());
    }
}

@compute @workgroup_size(LANES * CLUSTERS)
fn transposed(
    @builtin(workgroup_id) tile: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let at = place(thread, subgroup_lane);
    let quad = tile.y * LANES + at.lane;
    make_dinput(tile.x * TILE_ROWS, quad, tile.z, at, bias[min(quad, DINPUT_QUADS - 1u)]);
}
