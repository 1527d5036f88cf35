// Epilogue of the product that makes a gradient: passes the gradient through the activation of the layer below.
//
//   gradient[row, c] = value[c] * slope[row, c]

#import lib/matrix.wgsl
#import nn/epilogue/no_sums.wgsl

override COLUMNS: u32;
override GRADIENT_QUADS: u32;

@group(0) @binding(10) var<storage, read> slope: array<vec4f>;              // (B, COLUMNS), the activation's derivative
@group(0) @binding(11) var<storage, read_write> gradient: array<vec4f>;     // (B, COLUMNS)

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let i = row * GRADIENT_QUADS + quad;
    gradient[i] = keep(value * slope[i], 4u * quad, COLUMNS);
    return 0.0;
}
