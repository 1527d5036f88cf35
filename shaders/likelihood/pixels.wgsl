// Pixels from what the decoder puts out: the mean of p(x|z), or a draw from it, whichever fills the slot `pixel`.
//
// What fills it defines `pixel(row, d) -> f32`. Its bindings start at 10; it sees the outputs of the row, `output(row, column)`,
// and four random words of the pixel for each `turn`, `random_words(row, d, turn)`. One thread makes one pixel: x is the
// dimension, y the row.

#import lib/rng.wgsl
#import lib/step.wgsl
#import pixel

override D: u32;
override STRIDE: u32 = (D + 3u) / 4u * 4u;
override OUTPUT_STRIDE: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> outputs: array<f32>;           // (B * SAMPLES, outputs)
@group(0) @binding(2) var<storage, read> key: array<vec4u>;             // (4), of the draws
@group(0) @binding(3) var<storage, read_write> pixels: array<f32>;      // (B * SAMPLES, D)

fn output(row: u32, column: u32) -> f32 {
    return outputs[row * OUTPUT_STRIDE + column];
}

fn random_words(row: u32, d: u32, turn: u32) -> vec4u {
    return threefry(key[0], vec4u(d, step.first * SAMPLES + row, step.t, turn));
}

@compute @workgroup_size(8, 8)
fn show(@builtin(global_invocation_id) id: vec3u) {
    let d = id.x;
    let row = id.y;
    if d < D && row < step.rows * SAMPLES {
        pixels[row * STRIDE + d] = pixel(row, d);
    }
}
