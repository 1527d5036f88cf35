// The operands of products as buffers, for kernels that load no quad past the end of a tensor.

#import nn/dense/bindings.wgsl

fn input_at(index: u32) -> vec4f {
    return input[index];
}

fn weight_at(index: u32) -> vec4f {
    return weight[index];
}

fn doutput_at(index: u32) -> vec4f {
    return doutput[index];
}
