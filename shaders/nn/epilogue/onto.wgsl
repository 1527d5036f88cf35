// Epilogue that adds the result to what is stored: result[row, c] += value[c].

#import lib/matrix.wgsl
#import nn/epilogue/no_sums.wgsl

override COLUMNS: u32;
override RESULT_QUADS: u32;

@group(0) @binding(10) var<storage, read_write> result: array<vec4f>;   // (B, COLUMNS)

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let i = row * RESULT_QUADS + quad;
    result[i] = keep(result[i] + value, 4u * quad, COLUMNS);
    return 0.0;
}
