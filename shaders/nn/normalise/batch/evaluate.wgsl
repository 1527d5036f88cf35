// Batch normalisation outside training: with the running mean and variance, so that no row depends on another.
//
//   finish(row, c, scale[c] * (pre[row, c] - running mean[c]) / sqrt(running variance[c] + VARIANCE_EPSILON) + shift[c])
//
// The epilogue defines `finish`. One thread processes four values: x is the quad of columns, y the row.

#import nn/normalise/operands.wgsl
#import epilogue

@group(0) @binding(2) var<storage, read> norm: array<vec4f>;    // (4, WIDTH): scale, shift, running mean, running variance

@compute @workgroup_size(8, 32)
fn evaluate(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < PRE_QUADS && row < live_rows() {
        let centred = pre[row * PRE_QUADS + quad] - norm[2u * PRE_QUADS + quad];
        let normalised = centred * inverse_std(norm[3u * PRE_QUADS + quad]);
        finish(row, quad, norm[quad] * normalised + norm[PRE_QUADS + quad]);
    }
}
