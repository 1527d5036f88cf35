// The gradient of layer normalisation's input, in place of the gradient g of its result.
//
//   gradient[row, c] = (d[row, c] - (sum_c d[row, c] + xhat[row, c] * sum_c (d[row, c] * xhat[row, c])) / WIDTH) / std[row]
//
// where d = scale * g and xhat = (pre - mean) / std. A workgroup processes 8 rows, a thread every 32nd quad of one of them.

#import lib/matrix.wgsl
#import nn/normalise/operands.wgsl

@group(0) @binding(2) var<storage, read> norm: array<vec4f>;            // (2, WIDTH): scale, shift
@group(0) @binding(3) var<storage, read> statistics: array<vec4f>;      // (B * SAMPLES, 2): mean, 1 / std
@group(0) @binding(4) var<storage, read_write> gradient: array<vec4f>;  // (B * SAMPLES, WIDTH)

@compute @workgroup_size(SUMS, THREADS_PER_SUM)
fn backward(
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = live_rows();
    let row = min(id.x, rows - 1u);
    let start = row * PRE_QUADS;
    // A thread past the last row has no columns: it only takes part in the barriers.
    let end = select(0u, PRE_QUADS, id.x < rows);
    let mean = statistics[row].x;
    let inverse = statistics[row].y;
    var sum = vec4f();
    var products = vec4f();
    for (var quad = thread.y; quad < end; quad += THREADS_PER_SUM) {
        let d = norm[quad] * gradient[start + quad];
        sum += d;
        products += d * ((pre[start + quad] - mean) * inverse);
    }
    let sum_of_row = dot(sum_over_y(sum, lane), vec4f(1.0));
    let products_of_row = dot(sum_over_y(products, lane), vec4f(1.0));
    for (var quad = thread.y; quad < end; quad += THREADS_PER_SUM) {
        let d = norm[quad] * gradient[start + quad];
        let normalised = (pre[start + quad] - mean) * inverse;
        let through = inverse * (d - (sum_of_row + normalised * products_of_row) / f32(WIDTH));
        gradient[start + quad] = keep(through, 4u * quad, WIDTH);
    }
}
