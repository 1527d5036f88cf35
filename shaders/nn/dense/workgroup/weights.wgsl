// The gradients of the weights and biases of up to three dense layers in one kernel, for small batches.
//
//   dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o],  for layers 0, 1 and 2
//
// A workgroup makes a tile of one of them, as in tile.wgsl. The tiles of layer 0 come first, row by row.

#import sizes
#import lib/matrix.wgsl
#import lib/step.wgsl
#import nn/dense/workgroup/dweight.wgsl

override INPUT0_QUADS: u32;
override INPUT1_QUADS: u32;
override INPUT2_QUADS: u32;
override OUTPUTS0: u32;
override OUTPUTS1: u32;
override OUTPUTS2: u32;     // 0 if there are two layers
override WEIGHT0: u32;      // first quads of the gradients in their arena
override WEIGHT1: u32;
override WEIGHT2: u32;
override BIAS0: u32;
override BIAS1: u32;
override BIAS2: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read_write> gradients: array<vec4f>; // (P), the whole arena
@group(0) @binding(2) var<storage, read> input0: array<vec4f>;          // (B, inputs)
@group(0) @binding(3) var<storage, read> input1: array<vec4f>;
@group(0) @binding(4) var<storage, read> input2: array<vec4f>;
@group(0) @binding(5) var<storage, read> doutput0: array<vec4f>;        // (B, outputs)
@group(0) @binding(6) var<storage, read> doutput1: array<vec4f>;
@group(0) @binding(7) var<storage, read> doutput2: array<vec4f>;

struct Layer {
    input_quads: u32,
    outputs: u32,
    weight: u32,
    bias: u32,
}

var<private> layer: u32;    // of this workgroup

fn layer_of(number: u32) -> Layer {
    if number == 0u {
        return Layer(INPUT0_QUADS, OUTPUTS0, WEIGHT0, BIAS0);
    } else if number == 1u {
        return Layer(INPUT1_QUADS, OUTPUTS1, WEIGHT1, BIAS1);
    }
    return Layer(INPUT2_QUADS, OUTPUTS2, WEIGHT2, BIAS2);
}

// Tiles of a layer: in a row, and in a column.
fn tiles_of(number: u32) -> vec2u {
    let own = layer_of(number);
    return vec2u((own.input_quads + RIGHT_QUADS - 1u) / RIGHT_QUADS, (own.outputs + TILE_ROWS - 1u) / TILE_ROWS);
}

fn input_at(index: u32) -> vec4f {
    if layer == 0u {
        return input0[index];
    } else if layer == 1u {
        return input1[index];
    }
    return input2[index];
}

fn doutput_at(index: u32) -> vec4f {
    if layer == 0u {
        return doutput0[index];
    } else if layer == 1u {
        return doutput1[index];
    }
    return doutput2[index];
}

fn dweight_shape() -> vec2u {
    let own = layer_of(layer);
    return vec2u(own.outputs, own.input_quads);
}

fn load_dweight_block(block: u32, first: vec2u, b: u32) -> mat4x4f {
    let own = layer_of(layer);
    let at = place_in_dweight(block).y;
    if block < LEFT_BLOCKS {
        let quads = (own.outputs + 3u) / 4u;
        let rows = row_starts(b, live_rows(), quads) + min(first.x / 4u + at, quads - 1u);
        return mat4x4f(doutput_at(rows.x), doutput_at(rows.y), doutput_at(rows.z), doutput_at(rows.w));
    }
    let rows = row_starts(b, live_rows(), own.input_quads) + min(first.y + at, own.input_quads - 1u);
    return mat4x4f(input_at(rows.x), input_at(rows.y), input_at(rows.z), input_at(rows.w));
}

fn store_dweight(row: u32, quad: u32, sum: vec4f) {
    let own = layer_of(layer);
    gradients[own.weight + row * own.input_quads + quad] = sum;
}

fn store_dbias(quad: u32, sum: vec4f) {
    gradients[layer_of(layer).bias + quad] = sum;
}

@compute @workgroup_size(THREADS)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var tile = group.x;
    layer = 0u;
    for (var number = 0u; number < 2u; number++) {
        let tiles = tiles_of(number);
        if layer == number && tile >= tiles.x * tiles.y {
            tile -= tiles.x * tiles.y;
            layer++;
        }
    }
    let columns = tiles_of(layer).x;
    make_dweight(vec2u(tile / columns * TILE_ROWS, tile % columns * RIGHT_QUADS), 0u, lane);
}
