// The operands of a dense layer's products for adapters that run on a CPU. Those that are read are textures: such an adapter loads
// texels for all lanes at once, but storage buffers lane by lane. A kernel binds the operands that it uses.

#import nn/dense/layer.wgsl
#import lib/texture.wgsl

override WEIGHT_START: u32;     // the weight's first quad in its texture, which has all parameters
override INPUT_START: u32;      // the input's first quad in its texture: it may be a parameter itself

@group(0) @binding(1) var input: texture_storage_2d<rgba32float, read>;     // (B, INPUTS), a quad a texel
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;    // (OUTPUTS, INPUTS), among all parameters
@group(0) @binding(4) var doutput: texture_storage_2d<rgba32float, read>;   // (B, OUTPUTS), a quad a texel

fn input_at(index: u32) -> vec4f {
    return textureLoad(input, texel(INPUT_START + index));
}

fn weight_at(index: u32) -> vec4f {
    return textureLoad(weight, texel(WEIGHT_START + index));
}

fn doutput_at(index: u32) -> vec4f {
    return textureLoad(doutput, texel(index));
}
