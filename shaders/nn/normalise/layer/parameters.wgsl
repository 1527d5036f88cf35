// The gradients of layer normalisation's scale and shift, from the gradient g of its result.
//
//   dshift[c] = sum_row g[row, c],  dscale[c] = sum_row g[row, c] * xhat[row, c],  xhat = (pre - mean) / std
//
// A workgroup processes 8 quads of columns, a thread every 32nd row of one of them.

#import nn/normalise/operands.wgsl

@group(0) @binding(2) var<storage, read> statistics: array<vec4f>;      // (B * SAMPLES, 2): mean, 1 / std
@group(0) @binding(3) var<storage, read> gradient: array<vec4f>;        // (B * SAMPLES, WIDTH)
@group(0) @binding(4) var<storage, read_write> dnorm: array<vec4f>;     // (2, WIDTH)

@compute @workgroup_size(SUMS, THREADS_PER_SUM)
fn backward_parameters(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = id.x;
    // A thread past the last quad has no rows: it only takes part in the barriers.
    let end = select(0u, live_rows(), quad < PRE_QUADS);
    var shift_sum = vec4f();
    var scale_sum = vec4f();
    for (var row = thread.y; row < end; row += THREADS_PER_SUM) {
        let i = row * PRE_QUADS + quad;
        shift_sum += gradient[i];
        scale_sum += gradient[i] * ((pre[i] - statistics[row].x) * statistics[row].y);
    }
    let dshift = sum_over_y(shift_sum, lane);
    let dscale = sum_over_y(scale_sum, lane);
    if end > 0u && thread.y == 0u {
        dnorm[quad] = dscale;
        dnorm[PRE_QUADS + quad] = dshift;
    }
}
