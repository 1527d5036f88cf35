// A dense layer and its gradients, as three matrix products from registers, without shared memory.
//
//   forward:          output[b, o] = bias[o] + sum_i input[b, i] * weight[o, i]
//   backward_input:   dinput[b, i] = sum_o doutput[b, o] * weight[o, i]
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//
// One thread makes a tile of the result, 8 rows by 8 columns: x is the tile's column, y its row. A tile is four
// mat4x4f, each four rows of one quad; WGSL's matrices are made of columns, so a row of the tile is a column of those.
// Rows and quads past the end are clamped for loads, which keeps every address in bounds, and left out by the stores.

#import lib/matrix.wgsl
#import lib/step.wgsl

override INPUTS: u32;
override OUTPUTS: u32;
override INPUT_QUADS: u32 = (INPUTS + 3u) / 4u;
override OUTPUT_QUADS: u32 = (OUTPUTS + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> input: array<vec4f>;           // (B, INPUTS)
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;          // (OUTPUTS, INPUTS)
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;            // (OUTPUTS)
@group(0) @binding(4) var<storage, read_write> output: array<vec4f>;    // (B, OUTPUTS)
@group(0) @binding(5) var<storage, read> doutput: array<vec4f>;         // (B, OUTPUTS)
@group(0) @binding(6) var<storage, read_write> dinput: array<vec4f>;    // (B, INPUTS)
@group(0) @binding(7) var<storage, read_write> dweight: array<vec4f>;   // (OUTPUTS, INPUTS)
@group(0) @binding(8) var<storage, read_write> dbias: array<vec4f>;     // (OUTPUTS)

const TILE_ROWS = 8u;
const TILE_COLUMNS = 8u;

// Where four rows of a matrix start, in quads; those past the last row are clamped to it.
fn row_starts(first: u32, rows: u32, quads: u32) -> vec4u {
    return min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(rows - 1u)) * quads;
}

fn load_input(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(input[rows.x + quad], input[rows.y + quad], input[rows.z + quad], input[rows.w + quad]);
}

fn load_doutput(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(doutput[rows.x + quad], doutput[rows.y + quad], doutput[rows.z + quad], doutput[rows.w + quad]);
}

fn load_weight(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(weight[rows.x + quad], weight[rows.y + quad], weight[rows.z + quad], weight[rows.w + quad]);
}

// The product of a column of four values and a row of four.
fn outer_product(column: vec4f, row: vec4f) -> mat4x4f {
    return mat4x4f(column.x * row, column.y * row, column.z * row, column.w * row);
}

fn store_output(b: u32, quad: u32, sum: vec4f) {
    if b < step.rows && quad < OUTPUT_QUADS {
        output[b * OUTPUT_QUADS + quad] = keep(sum + bias[quad], 4u * quad, OUTPUTS);
    }
}

fn store_output_rows(b: u32, quad: u32, sums: mat4x4f) {
    store_output(b, quad, sums[0]);
    store_output(b + 1u, quad, sums[1]);
    store_output(b + 2u, quad, sums[2]);
    store_output(b + 3u, quad, sums[3]);
}

@compute @workgroup_size(8, 8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x * (TILE_COLUMNS / 4u);
    let b = id.y * TILE_ROWS;
    if quad < OUTPUT_QUADS && b < step.rows {
        let top = row_starts(b, step.rows, INPUT_QUADS);
        let bottom = row_starts(b + 4u, step.rows, INPUT_QUADS);
        let left = row_starts(4u * quad, OUTPUTS, INPUT_QUADS);
        let right = row_starts(4u * quad + 4u, OUTPUTS, INPUT_QUADS);
        var top_left = mat4x4f(); var top_right = mat4x4f();
        var bottom_left = mat4x4f(); var bottom_right = mat4x4f();
        for (var i = 0u; i < INPUT_QUADS; i++) {
            let w_left = transpose(load_weight(left, i));
            let w_right = transpose(load_weight(right, i));
            let x_top = load_input(top, i);
            let x_bottom = load_input(bottom, i);
            top_left += w_left * x_top;
            top_right += w_right * x_top;
            bottom_left += w_left * x_bottom;
            bottom_right += w_right * x_bottom;
        }
        store_output_rows(b, quad, top_left);
        store_output_rows(b, quad + 1u, top_right);
        store_output_rows(b + 4u, quad, bottom_left);
        store_output_rows(b + 4u, quad + 1u, bottom_right);
    }
}

fn store_dinput(b: u32, quad: u32, sum: vec4f) {
    if b < step.rows && quad < INPUT_QUADS {
        dinput[b * INPUT_QUADS + quad] = sum;
    }
}

fn store_dinput_rows(b: u32, quad: u32, sums: mat4x4f) {
    store_dinput(b, quad, sums[0]);
    store_dinput(b + 1u, quad, sums[1]);
    store_dinput(b + 2u, quad, sums[2]);
    store_dinput(b + 3u, quad, sums[3]);
}

@compute @workgroup_size(8, 8)
fn backward_input(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x * (TILE_COLUMNS / 4u);
    let b = id.y * TILE_ROWS;
    if quad < INPUT_QUADS && b < step.rows {
        let quad_right = min(quad + 1u, INPUT_QUADS - 1u);
        let top = row_starts(b, step.rows, OUTPUT_QUADS);
        let bottom = row_starts(b + 4u, step.rows, OUTPUT_QUADS);
        var top_left = mat4x4f(); var top_right = mat4x4f();
        var bottom_left = mat4x4f(); var bottom_right = mat4x4f();
        for (var o = 0u; o < OUTPUT_QUADS; o++) {
            // Where these rows are clamped, doutput's padding is what they are multiplied by: zero.
            let w_rows = row_starts(4u * o, OUTPUTS, INPUT_QUADS);
            let w_left = load_weight(w_rows, quad);
            let w_right = load_weight(w_rows, quad_right);
            let d_top = load_doutput(top, o);
            let d_bottom = load_doutput(bottom, o);
            top_left += w_left * d_top;
            top_right += w_right * d_top;
            bottom_left += w_left * d_bottom;
            bottom_right += w_right * d_bottom;
        }
        store_dinput_rows(b, quad, top_left);
        store_dinput_rows(b, quad + 1u, top_right);
        store_dinput_rows(b + 4u, quad, bottom_left);
        store_dinput_rows(b + 4u, quad + 1u, bottom_right);
    }
}

fn store_dweight(o: u32, quad: u32, sum: vec4f) {
    if o < OUTPUTS && quad < INPUT_QUADS {
        dweight[o * INPUT_QUADS + quad] = sum;
    }
}

fn store_dweight_rows(o: u32, quad: u32, sums: mat4x4f) {
    store_dweight(o, quad, sums[0]);
    store_dweight(o + 1u, quad, sums[1]);
    store_dweight(o + 2u, quad, sums[2]);
    store_dweight(o + 3u, quad, sums[3]);
}

@compute @workgroup_size(8, 8)
fn backward_weight(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x * (TILE_COLUMNS / 4u);
    let o = id.y * TILE_ROWS;
    if quad < INPUT_QUADS && o < OUTPUTS {
        let quad_right = min(quad + 1u, INPUT_QUADS - 1u);
        let o_top = o / 4u;
        let o_bottom = min(o_top + 1u, OUTPUT_QUADS - 1u);
        var top_left = mat4x4f(); var top_right = mat4x4f();
        var bottom_left = mat4x4f(); var bottom_right = mat4x4f();
        var bias_top = vec4f(); var bias_bottom = vec4f();
        for (var b = 0u; b < step.rows; b++) {
            let x_left = input[b * INPUT_QUADS + quad];
            let x_right = input[b * INPUT_QUADS + quad_right];
            let d_top = doutput[b * OUTPUT_QUADS + o_top];
            let d_bottom = doutput[b * OUTPUT_QUADS + o_bottom];
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
            // Where the bottom is clamped to the top, both hold the same sum.
            dbias[o_top] = bias_top;
            dbias[o_bottom] = bias_bottom;
        }
    }
}
