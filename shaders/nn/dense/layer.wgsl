// A dense layer's sizes, and its tensors that are buffers for every kernel: the bias, and the gradients of the parameters.

#import lib/matrix.wgsl
#import lib/step.wgsl

override INPUTS: u32;
override OUTPUTS: u32;
override INPUT_QUADS: u32 = (INPUTS + 3u) / 4u;
override OUTPUT_QUADS: u32 = (OUTPUTS + 3u) / 4u;
override ACCUMULATE: bool = false;  // whether the gradients of weight and bias are added to the stored ones

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;            // (OUTPUTS)
@group(0) @binding(5) var<storage, read_write> dweight: array<vec4f>;   // (OUTPUTS, INPUTS)
@group(0) @binding(6) var<storage, read_write> dbias: array<vec4f>;     // (OUTPUTS)

fn store_dweight(row: u32, quad: u32, sum: vec4f) {
    let i = row * INPUT_QUADS + quad;
    if ACCUMULATE {
        dweight[i] += sum;
    } else {
        dweight[i] = sum;
    }
}

fn store_dbias(quad: u32, sum: vec4f) {
    if ACCUMULATE {
        dbias[quad] += sum;
    } else {
        dbias[quad] = sum;
    }
}
