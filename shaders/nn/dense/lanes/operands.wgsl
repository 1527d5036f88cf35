// The operands of a dense layer's products. Those that are read are textures: an adapter that runs on a CPU loads texels
// for all lanes at once, but storage buffers lane by lane. A kernel binds the operands that it uses.

#import lib/matrix.wgsl
#import lib/step.wgsl
#import lib/texture.wgsl

override INPUTS: u32;
override OUTPUTS: u32;
override INPUT_QUADS: u32 = (INPUTS + 3u) / 4u;
override OUTPUT_QUADS: u32 = (OUTPUTS + 3u) / 4u;
override WEIGHT_START: u32;     // the weight's first quad in its texture, which has all parameters
override INPUT_START: u32;      // the input's first quad in its texture: it may be a parameter itself
override ACCUMULATE: bool = false;  // whether the gradients of weight and bias are added to the stored ones

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var input: texture_storage_2d<rgba32float, read>;     // (B, INPUTS), a quad a texel
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;    // (OUTPUTS, INPUTS), among all parameters
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;                // (OUTPUTS)
@group(0) @binding(4) var doutput: texture_storage_2d<rgba32float, read>;   // (B, OUTPUTS), a quad a texel
@group(0) @binding(5) var<storage, read_write> dweight: array<vec4f>;       // (OUTPUTS, INPUTS)
@group(0) @binding(6) var<storage, read_write> dbias: array<vec4f>;         // (OUTPUTS)

fn load_input(index: u32) -> vec4f {
    return textureLoad(input, texel(INPUT_START + index));
}

fn load_weight(index: u32) -> vec4f {
    return textureLoad(weight, texel(WEIGHT_START + index));
}

fn load_doutput(index: u32) -> vec4f {
    return textureLoad(doutput, texel(index));
}

// For epilogues of the product that makes the gradient of the input.
fn input_quad(row: u32, quad: u32) -> vec4f {
    return load_input(row * INPUT_QUADS + quad);
}
