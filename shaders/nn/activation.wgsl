// Epilogue of a layer's product: applies an activation, and keeps its derivative for the backward pass.
//
//   output[row, c] = activation(value[c]),  slope[row, c] = activation'(value[c])

#import lib/activation.wgsl
#import lib/matrix.wgsl

override ACTIVATION: u32;
override COLUMNS: u32;
override QUADS: u32 = (COLUMNS + 3u) / 4u;

@group(0) @binding(10) var<storage, read_write> output: array<vec4f>;   // (B, COLUMNS)
@group(0) @binding(11) var<storage, read_write> slope: array<vec4f>;    // (B, COLUMNS)

const ROW_SUMS = false;

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let i = row * QUADS + quad;
    // The padding must stay zero, and not every activation of zero is.
    output[i] = keep(activate(ACTIVATION, value), 4u * quad, COLUMNS);
    slope[i] = keep(activation_derivative(ACTIVATION, value), 4u * quad, COLUMNS);
    return 0.0;
}

fn finish_block(row: u32, block: u32, sum: f32) {}
