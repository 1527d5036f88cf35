// The gradient of the loss with respect to the log variances of the Gaussian likelihood, one for each dimension.
//
//   dlogvar[d] = 1/2 * sum_row w (1 - (x - mean)^2 * exp(-logvar[d]))
//
// where w is the weight that the objective gives to the row, and x - mean comes from the gradient with respect to the mean,
// in which all rows still have the same weight: output = (mean - x) * exp(-logvar) / rows. One workgroup processes four
// dimensions, a lane every REDUCE_SIZE-th row.

#import lib/matrix.wgsl
#import lib/reduce.wgsl
#import lib/step.wgsl
#import objective

override D: u32;
override OUTPUT_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> logvar: array<vec4f>;          // (D)
@group(0) @binding(2) var<storage, read> output: array<vec4f>;          // (B * SAMPLES, D)
@group(0) @binding(3) var<storage, read_write> dlogvar: array<vec4f>;   // (D)

@compute @workgroup_size(REDUCE_SIZE)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x;
    let rows = live_rows();
    let variance = exp(logvar[quad]);
    var sum = vec4f();
    for (var row = lane; row < rows; row += REDUCE_SIZE) {
        let scaled = f32(rows) * output[row * OUTPUT_QUADS + quad];
        sum += row_weight(row) * (1.0 - scaled * scaled * variance);
    }
    sum = workgroup_sum(sum, lane);
    if lane == 0u {
        dlogvar[quad] = keep(0.5 * sum, 4u * quad, D);
    }
}
