// Batch normalisation outside training: by the running mean and variance, so that no row depends on another.
//
//   finish(row, c, scale[c] * (pre[row, c] - running mean[c]) / sqrt(running variance[c] + VARIANCE_EPSILON) + shift[c])
//
// What `finish` does is up to the epilogue. One thread takes four values: x is the quad of columns, y the row.

#import lib/normalise.wgsl
#import lib/step.wgsl
#import epilogue

override WIDTH: u32;
override WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> pre: array<vec4f>;     // (B * SAMPLES, WIDTH)
@group(0) @binding(2) var<storage, read> norm: array<vec4f>;    // (4, WIDTH): scale, shift, running mean, running variance

@compute @workgroup_size(8, 8)
fn evaluate(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < WIDTH_QUADS && row < step.rows * SAMPLES {
        let centred = pre[row * WIDTH_QUADS + quad] - norm[2u * WIDTH_QUADS + quad];
        let normalised = centred * inverse_std(norm[3u * WIDTH_QUADS + quad]);
        finish(row, quad, norm[quad] * normalised + norm[WIDTH_QUADS + quad]);
    }
}
