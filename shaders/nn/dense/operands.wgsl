// The operands of a dense layer's products, as buffers. A kernel binds the operands that it uses.
//
// A header with bindings, for the families that load quads: `load_...` returns four rows of a quad, whose starts are in quads.

#import nn/dense/layer.wgsl

@group(0) @binding(1) var<storage, read> input: array<vec4f>;           // (B, INPUTS)
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;          // (OUTPUTS, INPUTS)
@group(0) @binding(4) var<storage, read> doutput: array<vec4f>;         // (B, OUTPUTS)

fn load_input(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(input[rows.x + quad], input[rows.y + quad], input[rows.z + quad], input[rows.w + quad]);
}

fn load_weight(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(weight[rows.x + quad], weight[rows.y + quad], weight[rows.z + quad], weight[rows.w + quad]);
}

fn load_doutput(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(doutput[rows.x + quad], doutput[rows.y + quad], doutput[rows.z + quad], doutput[rows.w + quad]);
}

// For epilogues of the product that makes the gradient of the input.
fn input_quad(row: u32, quad: u32) -> vec4f {
    return input[row * INPUT_QUADS + quad];
}
