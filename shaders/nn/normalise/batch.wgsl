// Batch normalisation in training: finish(row, c, scale[c] * (pre[row, c] - mean[c]) / std[c] + shift[c]), with the mean and
// the variance of each column over the rows of the batch, std = sqrt(variance + VARIANCE_EPSILON).
//
//   running mean += MOMENTUM * (mean - running mean)
//   running variance += MOMENTUM * (variance * rows / (rows - 1) - running variance)
//
// What `finish` does is up to the epilogue. A workgroup takes 8 quads of columns, a thread every 32nd row of one of them.

#import lib/matrix.wgsl
#import lib/normalise.wgsl
#import lib/step.wgsl
#import epilogue

override WIDTH: u32;
override WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> pre: array<vec4f>;                 // (B * SAMPLES, WIDTH)
@group(0) @binding(2) var<storage, read_write> norm: array<vec4f>;          // (4, WIDTH): scale, shift, running statistics
@group(0) @binding(3) var<storage, read_write> statistics: array<vec4f>;    // (2, WIDTH): mean, 1 / std

const MOMENTUM = 0.1;       // as in PyTorch

@compute @workgroup_size(SUMS, THREADS_PER_SUM)
fn forward(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = id.x;
    let rows = step.rows * SAMPLES;
    // A thread past the last quad has no rows, and takes part in the barriers alone.
    let end = select(0u, rows, quad < WIDTH_QUADS);
    var sum = vec4f();
    for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
        sum += pre[row * WIDTH_QUADS + quad];
    }
    let mean_of_rows = sum_over_y(sum, lane) / f32(rows);
    var squares = vec4f();
    for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
        let centred = pre[row * WIDTH_QUADS + quad] - mean_of_rows;
        squares += centred * centred;
    }
    let square_sum = sum_over_y(squares, lane);
    let inverse = inverse_std(square_sum / f32(rows));
    if end > 0u {
        let scale = norm[quad];
        let shift = norm[WIDTH_QUADS + quad];
        for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
            finish(row, quad, scale * ((pre[row * WIDTH_QUADS + quad] - mean_of_rows) * inverse) + shift);
        }
    }
    if end > 0u && thread.y == 0u {
        statistics[quad] = mean_of_rows;
        statistics[WIDTH_QUADS + quad] = keep(inverse, 4u * quad, WIDTH);
        // One row has no variance, and says nothing of what others are like.
        if rows > 1u {
            let running_mean = norm[2u * WIDTH_QUADS + quad];
            let running_variance = norm[3u * WIDTH_QUADS + quad];
            let unbiased = square_sum / f32(rows - 1u);
            norm[2u * WIDTH_QUADS + quad] = running_mean + MOMENTUM * (mean_of_rows - running_mean);
            norm[3u * WIDTH_QUADS + quad] = running_variance + MOMENTUM * (unbiased - running_variance);
        }
    }
}
