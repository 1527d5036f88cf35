// Epilogues are what dense kernels do with a product's result, four values of a row at a time. This one stores them.
//
// An epilogue is imported by a kernel, whose `step` it sees, and defines:
//
//   ROW_SUMS: bool                   whether it has something to add up over each row
//   finish(row, quad, value) -> f32  stores what becomes of the values, returns what they add to their row's sum
//   finish_block(row, block, sum)    stores such a sum over BLOCK columns; called if ROW_SUMS
//
// Its bindings start at 10. Past the last column `value` may hold anything. Where the result is the gradient of a layer's
// input, `input_quad(row, quad)` is that input.

#import lib/matrix.wgsl

override COLUMNS: u32;
override QUADS: u32 = (COLUMNS + 3u) / 4u;

@group(0) @binding(10) var<storage, read_write> result: array<vec4f>;   // (B, COLUMNS)

const ROW_SUMS = false;

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    result[row * QUADS + quad] = keep(value, 4u * quad, COLUMNS);
    return 0.0;
}

fn finish_block(row: u32, block: u32, sum: f32) {}
