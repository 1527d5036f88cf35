// The gradients of a dense layer, as two matrix products from registers.
//
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//   backward:         both those and finish(b, i, sum_o doutput[b, o] * weight[o, i]), the gradient of the input
//
// The epilogue defines `finish`. One thread makes 8 rows by 8 columns of a result: four mat4x4f, each with four rows of one
// quad. Rows and quads past the end are clamped for loads and left out by the stores.

#import sizes
#import rows
#import nn/dense/four.wgsl
#import epilogue

override WEIGHT_TILES: u32 = (OUTPUTS + TILE_ROWS - 1u) / TILE_ROWS;

fn store_dweight_rows(o: u32, quad: u32, sums: mat4x4f) {
    if quad < INPUT_QUADS {
        for (var r = 0u; r < min(4u, OUTPUTS - min(o, OUTPUTS)); r++) {
            store_dweight(o + r, quad, row_of(sums, sums, r));
        }
    }
}

// Eight rows of the weight's gradient from `o`, two quads from `quad`.
fn make_dweight(o: u32, quad: u32) {
    let quad_right = min(quad + 1u, INPUT_QUADS - 1u);
    let o_top = o / 4u;
    let o_bottom = min(o_top + 1u, OUTPUT_QUADS - 1u);
    var top_left = mat4x4f(); var top_right = mat4x4f();
    var bottom_left = mat4x4f(); var bottom_right = mat4x4f();
    var bias_top = vec4f(); var bias_bottom = vec4f();
    for (var b = 0u; b < live_rows(); b++) {
        let x = input_row(b);
        let x_left = input_term(x, quad);
        let x_right = input_term(x, quad_right);
        let d_top = doutput_at(b * OUTPUT_QUADS + o_top);
        let d_bottom = doutput_at(b * OUTPUT_QUADS + o_bottom);
        top_left += outer_product(d_top, x_left);
        top_right += outer_product(d_top, x_right);
        bottom_left += outer_product(d_bottom, x_left);
        bottom_right += outer_product(d_bottom, x_right);
        bias_top += d_top;
        bias_bottom += d_bottom;
    }
    store_dweight_rows(o, quad, top_left);
    store_dweight_rows(o, quad + 1u, top_right);
    store_dweight_rows(o + 4u, quad, bottom_left);
    store_dweight_rows(o + 4u, quad + 1u, bottom_right);
    if quad == 0u {
        store_dbias(o_top, bias_top);
        if o_bottom > o_top {
            store_dbias(o_bottom, bias_bottom);
        }
    }
}

// Eight rows of the input's gradient from `b`, two quads from `quad`: `left` and `right` are added to them.
fn make_dinput(b: u32, quad: u32, left: vec4f, right: vec4f) {
    let quad_right = min(quad + 1u, DINPUT_QUADS - 1u);
    let phase = phase_of(b);
    let top = doutput_rows(phase, b);
    let bottom = doutput_rows(phase, b + 4u);
    var top_left = mat4x4f(left, left, left, left);
    var top_right = mat4x4f(right, right, right, right);
    var bottom_left = top_left;
    var bottom_right = top_right;
    for (var o = 0u; o < terms_of(phase); o++) {
        let w_left = weight_terms(phase, o, quad);
        let w_right = weight_terms(phase, o, quad_right);
        let d_top = load_doutput(phase, top, o);
        let d_bottom = load_doutput(phase, bottom, o);
        top_left += w_left * d_top;
        top_right += w_right * d_top;
        bottom_left += w_left * d_bottom;
        bottom_right += w_right * d_bottom;
    }
    let quads = min(2u, DINPUT_QUADS - quad);
    for (var row = b; row < min(b + 8u, dinput_rows()); row++) {
        for (var side = 0u; side < quads; side++) {
            let value_left = row_of(top_left, bottom_left, row - b);
            let value_right = row_of(top_right, bottom_right, row - b);
            finish_dinput(phase, row, quad + side, select(value_left, value_right, side == 1u));
        }
    }
}

@compute @workgroup_size(TILE_COLUMNS / 8u, TILE_ROWS / 8u)
fn backward_weight(@builtin(global_invocation_id) id: vec3u) {
    if 2u * id.x < INPUT_QUADS && 8u * id.y < OUTPUTS {
        make_dweight(8u * id.y, 2u * id.x);
    }
}

// Both gradients have the input's columns: the first rows of workgroups make the weight's, those after them the input's.
@compute @workgroup_size(TILE_COLUMNS / 8u, TILE_ROWS / 8u)
fn backward(@builtin(workgroup_id) tile: vec3u, @builtin(global_invocation_id) id: vec3u) {
    let quad = 2u * id.x;
    if tile.y < WEIGHT_TILES {
        if quad < INPUT_QUADS && 8u * id.y < OUTPUTS {
            make_dweight(8u * id.y, quad);
        }
    } else {
        let b = 8u * id.y - WEIGHT_TILES * TILE_ROWS;
        if quad < INPUT_QUADS && b < live_rows() {
            make_dinput(b, quad, vec4f(), vec4f());
        }
    }
}

@compute @workgroup_size(TILE_COLUMNS / 8u, TILE_ROWS / 8u)
fn transposed(@builtin(global_invocation_id) id: vec3u) {
    let quad = 2u * id.x;
    if quad < DINPUT_QUADS && 8u * id.y < dinput_rows() {
        make_dinput(8u * id.y, quad, bias[quad], bias[min(quad + 1u, DINPUT_QUADS - 1u)]);
    }
}
