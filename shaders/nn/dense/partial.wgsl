// The second pass of a dense layer's product whose sums were cut into slices: adds the slices in order.
//
//   forward:          finish(b, o, bias[o] + sum_s partial[s, b, o])
//   backward:         finish(b, i, sum_s partial[s, b, i]), the gradient of the input
//   backward_weight:  dweight[o, i] = sum_s partial[s, o, i],  dbias[o] = sum_s partial_bias[s, o]
//
// One thread adds a quad of a row: x is the quad, y the row.

#import rows
#import epilogue
#import nn/dense/block.wgsl

override SLICES: u32;
override BATCH: u32;    // rows of a slice, of forward and backward

@group(0) @binding(7) var<storage, read> partial_sums: array<vec4f>;    // (SLICES * rows, columns) of the result
@group(0) @binding(8) var<storage, read> partial_bias: array<vec4f>;    // (SLICES, OUTPUTS)

// A quad of a row, of slices with the given number of quads.
fn total(at: u32, slice_quads: u32) -> vec4f {
    var sum = partial_sums[at];
    for (var s = 1u; s < SLICES; s++) {
        sum += partial_sums[at + s * slice_quads];
    }
    return sum;
}

@compute @workgroup_size(BLOCK_QUADS, ROWS)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    let is_live = id.x < OUTPUT_QUADS && id.y < live_rows();
    var row_sum = 0.0;
    if is_live {
        row_sum = finish(id.y, id.x, bias[id.x] + total(id.y * OUTPUT_QUADS + id.x, BATCH * OUTPUT_QUADS));
    }
    finish_row_sums(row_sum, is_live, id.y, group.x, thread);
}

@compute @workgroup_size(BLOCK_QUADS, ROWS)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    if id.x < INPUT_QUADS && id.y < live_rows() {
        finish(id.y, id.x, total(id.y * INPUT_QUADS + id.x, BATCH * INPUT_QUADS));
    }
}

@compute @workgroup_size(BLOCK_QUADS, ROWS)
fn backward_weight(@builtin(global_invocation_id) id: vec3u) {
    if id.x < INPUT_QUADS && id.y < OUTPUTS {
        store_dweight(id.y, id.x, total(id.y * INPUT_QUADS + id.x, OUTPUTS * INPUT_QUADS));
    }
    if id.x == 0u && id.y < OUTPUT_QUADS {
        var sum = partial_bias[id.y];
        for (var s = 1u; s < SLICES; s++) {
            sum += partial_bias[s * OUTPUT_QUADS + id.y];
        }
        store_dbias(id.y, sum);
    }
}
