// Layer normalisation: finish(row, c, scale[c] * (pre[row, c] - mean[row]) / std[row] + shift[c]), with the mean and the
// variance of each row over its columns, std = sqrt(variance + VARIANCE_EPSILON).
//
// The epilogue defines `finish`. A workgroup processes 8 rows, a thread every 32nd quad of one of them.

#import lib/matrix.wgsl
#import nn/normalise/operands.wgsl
#import epilogue

@group(0) @binding(2) var<storage, read> norm: array<vec4f>;                // (2, WIDTH): scale, shift
@group(0) @binding(3) var<storage, read_write> statistics: array<vec4f>;    // (B * SAMPLES, 2): mean, 1 / std

@compute @workgroup_size(SUMS, THREADS_PER_SUM)
fn forward(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = id.x;
    let start = row * PRE_QUADS;
    // A thread past the last row has no columns: it only takes part in the barriers.
    let end = select(0u, PRE_QUADS, row < live_rows());
    var sum = vec4f();
    for (var quad = thread.y; quad < end; quad += THREADS_PER_SUM) {
        sum += pre[start + quad];
    }
    let mean_of_row = dot(sum_over_y(sum, lane), vec4f(1.0)) / f32(WIDTH);
    var squares = vec4f();
    for (var quad = thread.y; quad < end; quad += THREADS_PER_SUM) {
        let centred = keep(pre[start + quad] - mean_of_row, 4u * quad, WIDTH);
        squares += centred * centred;
    }
    let variance = dot(sum_over_y(squares, lane), vec4f(1.0)) / f32(WIDTH);
    let inverse = inverse_std(vec4f(variance)).x;
    for (var quad = thread.y; quad < end; quad += THREADS_PER_SUM) {
        let normalised = (pre[start + quad] - mean_of_row) * inverse;
        finish(row, quad, norm[quad] * normalised + norm[PRE_QUADS + quad]);
    }
    if end > 0u && thread.y == 0u {
        statistics[row] = vec4f(mean_of_row, inverse, 0.0, 0.0);
    }
}
