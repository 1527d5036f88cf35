// A dense layer's product for subgroups: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// The epilogue defines `finish`. A cluster is 8 adjacent lanes of a subgroup, and makes a tile of the result: 32 columns, a quad
// of columns for each lane. One lane loads each value of the left operand, and shuffles spread it. The clusters of a workgroup lie
// below each other, and take the same way.
//
// On adapters that run on a CPU, a workgroup is one cluster, one subgroup of 8, the SIMD lanes of a CPU thread. In one turn of the
// outer loop, eight products are added to a sum before it is masked and stored.

#import sizes
#import rows
#import nn/dense/lanes/sums.wgsl
#import epilogue

@compute @workgroup_size(LANES * CLUSTERS)
fn forward(
    @builtin(workgroup_id) tile: vec3u,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let lane = thread % LANES;
    let start = cluster_start(subgroup_lane);
    // Rows vary fastest, so that workgroups that run one after the other share the weight's rows.
    let first = tile.x * TILE_ROWS + cluster_of(thread) * CLUSTER_ROWS;
    let quad = tile.y * LANES + lane;
    if tile.x * TILE_ROWS < live_rows() {
        var rows: array<InputRow, CLUSTER_QUADS>;
        for (var j = 0u; j < CLUSTER_QUADS; j++) {
            rows[j] = input_row(min(first + 4u * j + lane / 2u, live_rows() - 1u));
        }
        let columns = min(vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u), vec4u(OUTPUTS - 1u)) * INPUT_QUADS;
        var sums: Sums;
        // The start is 0, but the driver cannot know it: it would rotate the loop, and then every sum is masked and stored
        // twice.
        for (var i = tile.z; i < INPUT_QUADS; i += 2u) {
            // Even lanes load one quad of four rows, odd lanes the next one.
            let own = i + lane % 2u;
            var x: array<vec4f, CLUSTER_QUADS>;
            for (var j = 0u; j < CLUSTER_QUADS; j++) {
                x[j] = select(vec4f(), input_term(rows[j], own), own < INPUT_QUADS);
            }
            var w: array<mat4x4f, 2>;
            for (var half = 0u; half < 2u; half++) {
                let at = columns + i + half;
                w[half] = transpose(mat4x4f(weight_at(at.x), weight_at(at.y), weight_at(at.z), weight_at(at.w)));
            }
            add_product(&sums, &x, &w, start);
        }
        let shift = bias[min(quad, OUTPUT_QUADS - 1u)];
        // The first cluster's rows: no cluster has more.
        let rows_left = min(CLUSTER_ROWS, live_rows() - tile.x * TILE_ROWS);
        for (var r = 0u; r < rows_left; r++) {
            let row = first + r;
            var sum = 0.0;
            if quad < OUTPUT_QUADS && row < live_rows() {
                sum = finish(row, quad, pick(&sums, r) + shift);
            }
            if ROW_SUMS {
                // A tile is as wide as a block.
                sum = cluster_sum(sum, start);
                if lane == 0u && row < live_rows() {
                    finish_block(row, tile.y, sum);
                }
            }
        }
    }
}
