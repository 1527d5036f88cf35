// Batch normalisation in training: finish(row, c, scale[c] * (pre[row, c] - mean[c]) / std[c] + shift[c]), with the mean and
// the variance of each column over the rows of the batch, std = sqrt(variance + VARIANCE_EPSILON).
//
//   running mean += MOMENTUM * (mean - running mean)
//   running variance += MOMENTUM * (variance * rows / (rows - 1) - running variance)
//
// The epilogue defines `finish`. A workgroup processes 8 quads of columns, a thread every 32nd row of one of them.

#import lib/matrix.wgsl
#import nn/normalise/operands.wgsl
#import epilogue

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
    let rows = live_rows();
    // A thread past the last quad has no rows: it only takes part in the barriers.
    let end = select(0u, rows, quad < PRE_QUADS);
    var sum = vec4f();
    for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
        sum += pre[row * PRE_QUADS + quad];
    }
    let mean_of_rows = sum_over_y(sum, lane) / f32(rows);
    var squares = vec4f();
    for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
        let centred = pre[row * PRE_QUADS + quad] - mean_of_rows;
        squares += centred * centred;
    }
    let square_sum = sum_over_y(squares, lane);
    let inverse = inverse_std(square_sum / f32(rows));
    if end > 0u {
        let scale = norm[quad];
        let shift = norm[PRE_QUADS + quad];
        for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
            finish(row, quad, scale * ((pre[row * PRE_QUADS + quad] - mean_of_rows) * inverse) + shift);
        }
    }
    if end > 0u && thread.y == 0u {
        statistics[quad] = mean_of_rows;
        statistics[PRE_QUADS + quad] = keep(inverse, 4u * quad, WIDTH);
        // One row has no variance, so it does not change the running statistics.
        if rows > 1u {
            let running_mean = norm[2u * PRE_QUADS + quad];
            let running_variance = norm[3u * PRE_QUADS + quad];
            let unbiased = square_sum / f32(rows - 1u);
            norm[2u * PRE_QUADS + quad] = running_mean + MOMENTUM * (mean_of_rows - running_mean);
            norm[3u * PRE_QUADS + quad] = running_variance + MOMENTUM * (unbiased - running_variance);
        }
    }
}
