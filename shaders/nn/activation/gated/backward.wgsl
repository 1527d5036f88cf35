// Epilogue of the product that makes a gradient: passes the gradient through the gated activation of the layer below.
//
//   gradient[row, 2j] = value[j] * slope[row, 2j],  gradient[row, 2j + 1] = value[j] * slope[row, 2j + 1]

#import lib/matrix.wgsl
#import nn/epilogue/no_sums.wgsl

override COLUMNS: u32;
override SLOPE_QUADS: u32;

@group(0) @binding(10) var<storage, read> slope: array<vec4f>;              // (B, 2 * COLUMNS), for value and gate
@group(0) @binding(11) var<storage, read_write> gradient: array<vec4f>;     // (B, 2 * COLUMNS)

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let i = row * SLOPE_QUADS + 2u * quad;
    gradient[i] = keep(value.xxyy * slope[i], 8u * quad, 2u * COLUMNS);
    if 2u * quad + 1u < SLOPE_QUADS {
        gradient[i + 1u] = keep(value.zzww * slope[i + 1u], 8u * quad + 4u, 2u * COLUMNS);
    }
    return 0.0;
}
