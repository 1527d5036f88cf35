// Epilogue of the product that makes a gradient: takes it on through the activation of the layer below.
//
//   gradient[row, c] = value[c] * slope[row, c]

#import lib/matrix.wgsl

override COLUMNS: u32;
override QUADS: u32 = (COLUMNS + 3u) / 4u;

@group(0) @binding(10) var<storage, read> slope: array<vec4f>;              // (B, COLUMNS), the activation's derivative
@group(0) @binding(11) var<storage, read_write> gradient: array<vec4f>;     // (B, COLUMNS)

const ROW_SUMS = false;

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let i = row * QUADS + quad;
    gradient[i] = keep(value * slope[i], 4u * quad, COLUMNS);
    return 0.0;
}

fn finish_block(row: u32, block: u32, sum: f32) {}
