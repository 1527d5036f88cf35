// Layer normalisation: finish(row, c, scale[c] * (pre[row, c] - mean[row]) / std[row] + shift[c]), with the mean and the
// variance of each row over its columns, std = sqrt(variance + VARIANCE_EPSILON).
//
// What `finish` does is up to the epilogue. A workgroup takes 8 rows, a thread every 32nd quad of one of them.

#import lib/matrix.wgsl
#import lib/normalise.wgsl
#import lib/step.wgsl
#import epilogue

override WIDTH: u32;
override WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> pre: array<vec4f>;                 // (B * SAMPLES, WIDTH)
@group(0) @binding(2) var<storage, read> norm: array<vec4f>;                // (2, WIDTH): scale, shift
@group(0) @binding(3) var<storage, read_write> statistics: array<vec4f>;    // (B * SAMPLES, 2): mean, 1 / std

@compute @workgroup_size(SUMS, THREADS_PER_SUM)
fn forward(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = id.x;
    let start = row * WIDTH_QUADS;
    // A thread past the last row has no columns, and takes part in the barriers alone.
    let end = select(0u, WIDTH_QUADS, row < step.rows * SAMPLES);
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
        finish(row, quad, norm[quad] * normalised + norm[WIDTH_QUADS + quad]);
    }
    if end > 0u && thread.y == 0u {
        statistics[row] = vec4f(mean_of_row, inverse, 0.0, 0.0);
    }
}
