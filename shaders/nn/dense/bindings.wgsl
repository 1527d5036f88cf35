// The operands of a dense layer's products, as buffers. A kernel binds the operands that it uses.

#import nn/dense/layer.wgsl

@group(0) @binding(1) var<storage, read> input: array<vec4f>;           // (B, INPUTS)
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;          // (OUTPUTS, INPUTS)
@group(0) @binding(4) var<storage, read> doutput: array<vec4f>;         // (B, OUTPUTS)
