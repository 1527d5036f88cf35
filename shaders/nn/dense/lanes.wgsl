// A dense layer's product for adapters that run on a CPU: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// The epilogue defines `finish`. One workgroup is one subgroup of 8 lanes, the SIMD lanes of one CPU thread, and makes a
// tile of the result: 32 columns, a quad of columns for each lane. Both operands are textures: such an adapter loads texels
// for all lanes at once, but storage buffers lane by lane. One lane loads each value of the left operand, and shuffles
// spread it. In one turn of the outer loop, eight products are added to a sum before it is masked and stored.

#import nn/dense/lanes/operands.wgsl
#import sums
#import epilogue

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    // Rows vary fastest, so that workgroups that run one after the other share the weight's rows.
    let first = tile.x * TILE_ROWS;
    let end = min(first + TILE_ROWS, live_rows());
    let quad = tile.y * LANES + lane;
    if first < end {
        var rows: array<u32, TILE_QUADS>;
        for (var j = 0u; j < TILE_QUADS; j++) {
            rows[j] = min(first + 4u * j + lane / 2u, end - 1u) * INPUT_QUADS;
        }
        let columns = min(vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u), vec4u(OUTPUTS - 1u)) * INPUT_QUADS;
        var sums: Sums;
        // The start is 0, but the driver cannot know it: it would rotate the loop, and then every sum is masked and stored
        // twice.
        for (var i = tile.z; i < INPUT_QUADS; i += 2u) {
            // Even lanes load one quad of four rows, odd lanes the next one.
            let own = i + lane % 2u;
            var x: array<vec4f, TILE_QUADS>;
            for (var j = 0u; j < TILE_QUADS; j++) {
                x[j] = select(vec4f(), load_input(rows[j] + own), own < INPUT_QUADS);
            }
            var w: array<mat4x4f, 2>;
            for (var half = 0u; half < 2u; half++) {
                let at = columns + i + half;
                w[half] = transpose(
                    mat4x4f(load_weight(at.x), load_weight(at.y), load_weight(at.z), load_weight(at.w)));
            }
            add_product(&sums, &x, &w);
        }
        let shift = bias[min(quad, OUTPUT_QUADS - 1u)];
        for (var row = first; row < end; row++) {
            var sum = 0.0;
            if quad < OUTPUT_QUADS {
                sum = finish(row, quad, pick(&sums, row - first) + shift);
            }
            if ROW_SUMS {
                // A tile is as wide as a block.
                sum = subgroupAdd(sum);
                if lane == 0u {
                    finish_block(row, tile.y, sum);
                }
            }
        }
    }
}
