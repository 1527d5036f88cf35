// A dense layer and its gradients, as three matrix products from registers, without shared memory.
//
//   forward:          output[b, o] = bias[o] + sum_i input[b, i] * weight[o, i]
//   backward_input:   dinput[b, i] = sum_o doutput[b, o] * weight[o, i]
//   backward_weight:  dweight[o, i] = sum_b doutput[b, o] * input[b, i],  dbias[o] = sum_b doutput[b, o]
//
// One thread makes a tile of the result, 8 rows by 4 columns: x is the tile's column, y its row. Rows past the end are
// clamped for loads, which keeps every address in bounds, and left out by the stores.

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

// The offsets of a tile's eight rows, those past the last row clamped to it.
fn tile_rows(first: u32, rows: u32, quads: u32) -> array<u32, 8> {
    let last = rows - 1u;
    return array(
        min(first, last) * quads, min(first + 1u, last) * quads, min(first + 2u, last) * quads,
        min(first + 3u, last) * quads, min(first + 4u, last) * quads, min(first + 5u, last) * quads,
        min(first + 6u, last) * quads, min(first + 7u, last) * quads,
    );
}

// Four rows of the weight matrix, `quad` of each, as the columns of a matrix.
fn weight_rows(first: u32, quad: u32) -> mat4x4f {
    let last = OUTPUTS - 1u;
    return mat4x4f(
        weight[min(first, last) * INPUT_QUADS + quad], weight[min(first + 1u, last) * INPUT_QUADS + quad],
        weight[min(first + 2u, last) * INPUT_QUADS + quad], weight[min(first + 3u, last) * INPUT_QUADS + quad],
    );
}

fn store_output(b: u32, quad: u32, sum: vec4f) {
    if b < step.rows {
        output[b * OUTPUT_QUADS + quad] = keep(sum + bias[quad], 4u * quad, OUTPUTS);
    }
}

@compute @workgroup_size(8, 8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y * TILE_ROWS;
    if quad < OUTPUT_QUADS && b < step.rows {
        let rows = tile_rows(b, step.rows, INPUT_QUADS);
        var sum0 = vec4f(); var sum1 = vec4f(); var sum2 = vec4f(); var sum3 = vec4f();
        var sum4 = vec4f(); var sum5 = vec4f(); var sum6 = vec4f(); var sum7 = vec4f();
        for (var i = 0u; i < INPUT_QUADS; i++) {
            let w = weight_rows(4u * quad, i);
            sum0 += input[rows[0] + i] * w;
            sum1 += input[rows[1] + i] * w;
            sum2 += input[rows[2] + i] * w;
            sum3 += input[rows[3] + i] * w;
            sum4 += input[rows[4] + i] * w;
            sum5 += input[rows[5] + i] * w;
            sum6 += input[rows[6] + i] * w;
            sum7 += input[rows[7] + i] * w;
        }
        store_output(b, quad, sum0);
        store_output(b + 1u, quad, sum1);
        store_output(b + 2u, quad, sum2);
        store_output(b + 3u, quad, sum3);
        store_output(b + 4u, quad, sum4);
        store_output(b + 5u, quad, sum5);
        store_output(b + 6u, quad, sum6);
        store_output(b + 7u, quad, sum7);
    }
}

fn store_dinput(b: u32, quad: u32, sum: vec4f) {
    if b < step.rows {
        dinput[b * INPUT_QUADS + quad] = sum;
    }
}

@compute @workgroup_size(8, 8)
fn backward_input(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y * TILE_ROWS;
    if quad < INPUT_QUADS && b < step.rows {
        let rows = tile_rows(b, step.rows, OUTPUT_QUADS);
        var sum0 = vec4f(); var sum1 = vec4f(); var sum2 = vec4f(); var sum3 = vec4f();
        var sum4 = vec4f(); var sum5 = vec4f(); var sum6 = vec4f(); var sum7 = vec4f();
        for (var o = 0u; o < OUTPUT_QUADS; o++) {
            let w = weight_rows(4u * o, quad);
            sum0 += w * doutput[rows[0] + o];
            sum1 += w * doutput[rows[1] + o];
            sum2 += w * doutput[rows[2] + o];
            sum3 += w * doutput[rows[3] + o];
            sum4 += w * doutput[rows[4] + o];
            sum5 += w * doutput[rows[5] + o];
            sum6 += w * doutput[rows[6] + o];
            sum7 += w * doutput[rows[7] + o];
        }
        store_dinput(b, quad, sum0);
        store_dinput(b + 1u, quad, sum1);
        store_dinput(b + 2u, quad, sum2);
        store_dinput(b + 3u, quad, sum3);
        store_dinput(b + 4u, quad, sum4);
        store_dinput(b + 5u, quad, sum5);
        store_dinput(b + 6u, quad, sum6);
        store_dinput(b + 7u, quad, sum7);
    }
}

fn store_dweight(o: u32, quad: u32, sum: vec4f) {
    if o < OUTPUTS {
        dweight[o * INPUT_QUADS + quad] = sum;
    }
}

@compute @workgroup_size(8, 8)
fn backward_weight(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let o = id.y * TILE_ROWS;
    if quad < INPUT_QUADS && o < OUTPUTS {
        let o_quad = o / 4u;
        let o_quad_next = min(o_quad + 1u, OUTPUT_QUADS - 1u);
        var sum0 = vec4f(); var sum1 = vec4f(); var sum2 = vec4f(); var sum3 = vec4f();
        var sum4 = vec4f(); var sum5 = vec4f(); var sum6 = vec4f(); var sum7 = vec4f();
        var bias_sum = vec4f(); var bias_sum_next = vec4f();
        for (var b = 0u; b < step.rows; b++) {
            let x = input[b * INPUT_QUADS + quad];
            let d = doutput[b * OUTPUT_QUADS + o_quad];
            let d_next = doutput[b * OUTPUT_QUADS + o_quad_next];
            sum0 += d.x * x;
            sum1 += d.y * x;
            sum2 += d.z * x;
            sum3 += d.w * x;
            sum4 += d_next.x * x;
            sum5 += d_next.y * x;
            sum6 += d_next.z * x;
            sum7 += d_next.w * x;
            bias_sum += d;
            bias_sum_next += d_next;
        }
        store_dweight(o, quad, sum0);
        store_dweight(o + 1u, quad, sum1);
        store_dweight(o + 2u, quad, sum2);
        store_dweight(o + 3u, quad, sum3);
        store_dweight(o + 4u, quad, sum4);
        store_dweight(o + 5u, quad, sum5);
        store_dweight(o + 6u, quad, sum6);
        store_dweight(o + 7u, quad, sum7);
        if quad == 0u {
            dbias[o_quad] = bias_sum;
            dbias[o_quad_next] = select(bias_sum, bias_sum_next, o_quad_next > o_quad);
        }
    }
}
