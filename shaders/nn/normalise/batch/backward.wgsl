// The gradients of batch normalisation in training, from the gradient g of its result. The gradient of its input replaces
// g.
//
//   dshift[c] = sum_row g[row, c],  dscale[c] = sum_row g[row, c] * xhat[row, c],  xhat = (pre - mean) / std
//   gradient[row, c] = scale[c] / std[c] * (g[row, c] - (dshift[c] + xhat[row, c] * dscale[c]) / rows)
//
// The gradients of the running mean and variance are zero. A workgroup processes 8 quads of columns, a thread every 32nd
// row of one of them.

#import nn/normalise/operands.wgsl

@group(0) @binding(2) var<storage, read> norm: array<vec4f>;            // (4, WIDTH): scale, shift, running mean, variance
@group(0) @binding(3) var<storage, read> statistics: array<vec4f>;      // (2, WIDTH): mean, 1 / std
@group(0) @binding(4) var<storage, read_write> gradient: array<vec4f>;  // (B * SAMPLES, WIDTH)
@group(0) @binding(5) var<storage, read_write> dnorm: array<vec4f>;     // (4, WIDTH)

@compute @workgroup_size(SUMS, THREADS_PER_SUM)
fn backward(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = id.x;
    let rows = live_rows();
    // A thread past the last quad has no rows: it only takes part in the barriers.
    let end = select(0u, rows, quad < PRE_QUADS);
    let column = min(quad, PRE_QUADS - 1u);
    let mean = statistics[column];
    let inverse = statistics[PRE_QUADS + column];
    var shift_sum = vec4f();
    var scale_sum = vec4f();
    for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
        let i = row * PRE_QUADS + quad;
        shift_sum += gradient[i];
        scale_sum += gradient[i] * ((pre[i] - mean) * inverse);
    }
    let dshift = sum_over_y(shift_sum, lane);
    let dscale = sum_over_y(scale_sum, lane);
    let factor = norm[column] * inverse;
    for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
        let i = row * PRE_QUADS + quad;
        let normalised = (pre[i] - mean) * inverse;
        gradient[i] = factor * (gradient[i] - (dshift + normalised * dscale) / f32(rows));
    }
    if end > 0u && thread.y == 0u {
        dnorm[quad] = dscale;
        dnorm[PRE_QUADS + quad] = dshift;
        dnorm[2u * PRE_QUADS + quad] = vec4f();
        dnorm[3u * PRE_QUADS + quad] = vec4f();
    }
}
