// Epilogue that adds what a shortcut brings: result[row, c] = value[c] + shortcut[row, c].

#import lib/matrix.wgsl
#import nn/epilogue/no_sums.wgsl

override COLUMNS: u32;
override RESULT_QUADS: u32;

@group(0) @binding(10) var<storage, read_write> result: array<vec4f>;   // (B, COLUMNS)
@group(0) @binding(11) var<storage, read> shortcut: array<vec4f>;       // (B, COLUMNS)

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let i = row * RESULT_QUADS + quad;
    result[i] = keep(value + shortcut[i], 4u * quad, COLUMNS);
    return 0.0;
}
