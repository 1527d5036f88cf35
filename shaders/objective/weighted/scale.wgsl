// Turns the gradient of the mean of -log_prob over all rows into that of the bound: doutput[row, o] *= SAMPLES *
// weights[row]. The gradient may have a row for each position of a sentence.
//
// One thread processes four values: x is the quad of columns, y the row.

#import lib/step.wgsl

override DOUTPUT_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> weights: array<f32>;               // (B * SAMPLES)
@group(0) @binding(2) var<storage, read_write> doutput: array<vec4f>;       // (B * SAMPLES, outputs)

@compute @workgroup_size(8, 8)
fn scale(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < DOUTPUT_QUADS && row < live_rows() {
        doutput[row * DOUTPUT_QUADS + quad] *= f32(SAMPLES) * weights[draw_of(row)];
    }
}
