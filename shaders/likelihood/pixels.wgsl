// Pixels from the decoder's outputs: the mean of p(x|z) or a draw from it, by the part in the slot `pixel`.
//
// The part defines `pixel_mean(row, d) -> f32` and `pixel_draw(row, d) -> f32`. Its bindings start at 10. It can call
// `output(row, column)`, the outputs of a row, and, for draws, `random_words(row, d, turn)`, four random words of a pixel
// for each `turn`. One thread makes one pixel: x is the dimension, y the row.

#import lib/rng.wgsl
#import lib/step.wgsl
#import pixel

override D: u32;
override OUTPUTS_STRIDE: u32;
override PIXELS_STRIDE: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> outputs: array<f32>;           // (B * SAMPLES, outputs)
@group(0) @binding(2) var<storage, read> key: array<vec4u>;             // (4), of the draws
@group(0) @binding(3) var<storage, read_write> pixels: array<f32>;      // (B * SAMPLES, D)

fn output(row: u32, column: u32) -> f32 {
    return outputs[row * OUTPUTS_STRIDE + column];
}

fn random_words(row: u32, d: u32, turn: u32) -> vec4u {
    return threefry(key[0], vec4u(d, step.first * SAMPLES + row, step.t, turn));
}

@compute @workgroup_size(8, 8)
fn show_mean(@builtin(global_invocation_id) id: vec3u) {
    let d = id.x;
    let row = id.y;
    if d < D && row < live_rows() {
        pixels[row * PIXELS_STRIDE + d] = pixel_mean(row, d);
    }
}

@compute @workgroup_size(8, 8)
fn show_draw(@builtin(global_invocation_id) id: vec3u) {
    let d = id.x;
    let row = id.y;
    if d < D && row < live_rows() {
        pixels[row * PIXELS_STRIDE + d] = pixel_draw(row, d);
    }
}
