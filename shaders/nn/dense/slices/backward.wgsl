// The gradients of a dense layer for few rows on a wide GPU, in the shape of slices.wgsl.
//
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//   backward:         both those and finish(b, i, sum_o doutput[b, o] * weight[o, i]), the gradient of the input
//
// The epilogue defines `finish`. A workgroup makes TILE_ROWS rows by 32 columns of a result: 8 tiles along y, each a quad wide,
// with the sum of each cut into slices along x.

#import sizes
#import rows
#import nn/dense/four.wgsl
#import nn/dense/slices/sums.wgsl
#import epilogue

override WEIGHT_TILES: u32 = (OUTPUTS + TILE_ROWS - 1u) / TILE_ROWS;

var<workgroup> partial_bias: array<vec4f, SLICES * ROW_QUADS>;  // [slice][quad of rows]

// The rows of the weight's gradient from `o`.
fn make_dweight(o: u32, column_tile: u32, slice: u32, tile: u32) {
    let quad = column_tile * TILES + tile;
    let x_quad = min(quad, INPUT_QUADS - 1u);
    var sums: Sums;
    var bias_sums: array<vec4f, ROW_QUADS>;
    for (var b = slice; b < live_rows(); b += SLICES) {
        let x = input_term(input_row(b), x_quad);
        for (var n = 0u; n < ROW_QUADS; n++) {
            let d = doutput_at(b * OUTPUT_QUADS + min(o / 4u + n, OUTPUT_QUADS - 1u));
            sums[n] += outer_product(d, x);
            bias_sums[n] += d;
        }
    }
    put(tile, slice, &sums);
    if tile == 0u {
        for (var n = 0u; n < ROW_QUADS; n++) {
            partial_bias[slice * ROW_QUADS + n] = bias_sums[n];
        }
    }
    workgroupBarrier();
    if slice < TILE_ROWS && o + slice < OUTPUTS && quad < INPUT_QUADS {
        store_dweight(o + slice, quad, total(vec4f(), tile, slice));
    }
    if column_tile == 0u && tile == 0u && slice < ROW_QUADS && o / 4u + slice < OUTPUT_QUADS {
        var sum = partial_bias[slice];
        for (var s = 1u; s < SLICES; s++) {
            sum += partial_bias[s * ROW_QUADS + slice];
        }
        store_dbias(o / 4u + slice, sum);
    }
}

// The rows of the input's gradient from `b`; the quad of `start` is added to them.
fn make_dinput(b: u32, column_tile: u32, slice: u32, tile: u32, start: vec4f) {
    let quad = column_tile * TILES + tile;
    let w_quad = min(quad, DINPUT_QUADS - 1u);
    let phase = phase_of(b);
    if b < dinput_rows() {
        var sums: Sums;
        for (var o = slice; o < terms_of(phase); o += SLICES) {
            let w = weight_terms(phase, o, w_quad);
            for (var n = 0u; n < ROW_QUADS; n++) {
                sums[n] += w * load_doutput(phase, doutput_rows(phase, b + 4u * n), o);
            }
        }
        put(tile, slice, &sums);
    }
    workgroupBarrier();
    if slice < TILE_ROWS && b + slice < dinput_rows() && quad < DINPUT_QUADS {
        finish_dinput(phase, b + slice, quad, total(start, tile, slice));
    }
}

@compute @workgroup_size(SLICES, TILES)
fn backward_weight(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    make_dweight(group.y * TILE_ROWS, group.x, thread.x, thread.y);
}

// Both gradients have the input's columns: the first rows of workgroups make the weight's, those after them the input's.
@compute @workgroup_size(SLICES, TILES)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    if group.y < WEIGHT_TILES {
        make_dweight(group.y * TILE_ROWS, group.x, thread.x, thread.y);
    } else {
        make_dinput((group.y - WEIGHT_TILES) * TILE_ROWS, group.x, thread.x, thread.y, vec4f());
    }
}

@compute @workgroup_size(SLICES, TILES)
fn transposed(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    let start = bias[min(group.x * TILES + thread.y, DINPUT_QUADS - 1u)];
    make_dinput(group.y * TILE_ROWS, group.x, thread.x, thread.y, start);
}
