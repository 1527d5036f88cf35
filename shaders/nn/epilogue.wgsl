// An epilogue processes the result of a dense kernel's product, four values of a row at a time. This one stores them.
//
// A kernel imports an epilogue, which can use the kernel's `step` and defines:
//
//   ROW_SUMS: bool                   whether it sums something over each row
//   finish(row, quad, value) -> f32  processes and stores the values, returns their part of the row's sum
//   finish_block(row, block, sum)    stores such a sum over BLOCK columns; called if ROW_SUMS
//
// Its bindings start at 10. Past the last column, `value` may be anything. If the result is the gradient of a layer's
// input, `input_quad(row, quad)` is that input.

#import lib/matrix.wgsl
#import nn/epilogue/no_sums.wgsl

override COLUMNS: u32;
override RESULT_QUADS: u32;

@group(0) @binding(10) var<storage, read_write> result: array<vec4f>;   // (B, COLUMNS)

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    result[row * RESULT_QUADS + quad] = keep(value, 4u * quad, COLUMNS);
    return 0.0;
}
