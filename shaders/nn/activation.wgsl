// Epilogue of a layer's product: applies an activation. The part in the slot `slope` stores its derivative, or not.
//
//   activated[row, c] = activation(value[c]),  slope[row, c] = activation'(value[c])

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import slope
#import nn/epilogue/no_sums.wgsl

override ACTIVATION: u32;
override COLUMNS: u32;
override ACTIVATED_QUADS: u32;

@group(0) @binding(10) var<storage, read_write> activated: array<vec4f>;    // (B, COLUMNS)

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    // The padding must stay zero, but some activations of zero are not zero.
    activated[row * ACTIVATED_QUADS + quad] = keep(activate(ACTIVATION, value), 4u * quad, COLUMNS);
    keep_slope(row, quad, keep(activation_derivative(ACTIVATION, value), 4u * quad, COLUMNS));
    return 0.0;
}
