// A dense layer's product for adapters that run on a CPU: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// What `finish` does is up to the epilogue. One workgroup is one subgroup of 8 lanes, the SIMD lanes of one CPU thread,
// and makes a tile of the result, 32 columns wide, a quad of columns a lane. Both operands are textures: such an adapter
// loads texels for all lanes at once, and storage buffers lane by lane. Each value of the left operand is loaded by one
// lane and spread by shuffles. Within one turn of the outer loop, eight products are added to a sum before it is masked
// and stored.

#import lib/matrix.wgsl
#import lib/step.wgsl
#import lib/texture.wgsl
#import sums
#import epilogue

override INPUTS: u32;
override OUTPUTS: u32;
override INPUT_QUADS: u32 = (INPUTS + 3u) / 4u;
override OUTPUT_QUADS: u32 = (OUTPUTS + 3u) / 4u;
override WEIGHT_START: u32;     // the weight's first quad in its texture, which holds all parameters
override INPUT_START: u32;      // the input's first quad in its texture: it may be a parameter itself

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var input: texture_storage_2d<rgba32float, read>;     // (B, INPUTS), a quad a texel
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;    // (OUTPUTS, INPUTS), among all parameters
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;                // (OUTPUTS)

fn load_input(index: u32) -> vec4f {
    return textureLoad(input, texel(INPUT_START + index));
}

fn load_weight(index: u32) -> vec4f {
    return textureLoad(weight, texel(WEIGHT_START + index));
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    // Rows vary fastest, so that workgroups that run one after the other share the weight's rows.
    let first = tile.x * TILE_ROWS;
    let end = min(first + TILE_ROWS, step.rows * SAMPLES);
    let quad = tile.y * LANES + lane;
    if first < end {
        var rows: array<u32, TILE_QUADS>;
        for (var j = 0u; j < TILE_QUADS; j++) {
            rows[j] = min(first + 4u * j + lane / 2u, end - 1u) * INPUT_QUADS;
        }
        let columns = min(vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u), vec4u(OUTPUTS - 1u)) * INPUT_QUADS;
        var sums: Sums;
        // From 0, but the driver cannot know: it would turn the loop around, and then every sum is masked and stored twice.
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
