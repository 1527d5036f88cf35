// The operands of products for the lanes of a GPU: buffers, with the functions of textures.wgsl. Quads past the end of a tensor
// may be anything, as the kernels multiply them by zero or do not store them, but they must not be loaded.

#import nn/dense/bindings.wgsl

fn input_at(index: u32) -> vec4f {
    return input[min(index, arrayLength(&input) - 1u)];
}

fn weight_at(index: u32) -> vec4f {
    return weight[min(index, arrayLength(&weight) - 1u)];
}

fn doutput_at(index: u32) -> vec4f {
    return doutput[min(index, arrayLength(&doutput) - 1u)];
}
