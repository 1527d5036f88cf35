// A dense layer's product for few rows on a wide GPU: finish(b, o, bias[o] + sum_i input[b, i] * weight[o, i]).
//
// What `finish` does is up to the epilogue. A workgroup makes 4 rows by 32 columns: 8 tiles of 4 by 4 along y, the sum of
// each cut into 16 slices along x, so that even a small result keeps many threads busy. Threads beside each other load
// quads beside each other. The slices are added up in order, through workgroup memory.

#import lib/matrix.wgsl
#import lib/step.wgsl
#import epilogue

override INPUTS: u32;
override OUTPUTS: u32;
override INPUT_QUADS: u32 = (INPUTS + 3u) / 4u;
override OUTPUT_QUADS: u32 = (OUTPUTS + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> input: array<vec4f>;           // (B, INPUTS)
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;          // (OUTPUTS, INPUTS)
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;            // (OUTPUTS)

const SLICES = 16u;
const TILES = 8u;
const TILE_ROWS = 4u;       // of the result, by one workgroup
const TILE_COLUMNS = 32u;

var<workgroup> partial_sums: array<mat4x4f, 128>;    // [tile][slice]
var<workgroup> row_sums: array<vec4f, TILES>;        // of each tile

fn load_input(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(input[rows.x + quad], input[rows.y + quad], input[rows.z + quad], input[rows.w + quad]);
}

fn load_weight(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(weight[rows.x + quad], weight[rows.y + quad], weight[rows.z + quad], weight[rows.w + quad]);
}

@compute @workgroup_size(SLICES, TILES)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    let slice = thread.x;
    let tile = thread.y;
    let quad = group.x * TILES + tile;
    let b = group.y * TILE_ROWS;
    if b < step.rows * SAMPLES {
        let rows = row_starts(b, step.rows * SAMPLES, INPUT_QUADS);
        let columns = row_starts(4u * quad, OUTPUTS, INPUT_QUADS);
        var sum = mat4x4f();
        for (var i = slice; i < INPUT_QUADS; i += SLICES) {
            sum += transpose(load_weight(columns, i)) * load_input(rows, i);
        }
        partial_sums[tile * SLICES + slice] = sum;
    }
    workgroupBarrier();
    // From here on, the first four threads of a tile have a row each.
    let row = b + slice;
    if slice < TILE_ROWS && row < step.rows * SAMPLES {
        var row_sum = 0.0;
        if quad < OUTPUT_QUADS {
            var value = bias[quad];
            for (var s = 0u; s < SLICES; s++) {
                value += partial_sums[tile * SLICES + s][slice];
            }
            row_sum = finish(row, quad, value);
        }
        if ROW_SUMS {
            row_sums[tile][slice] = row_sum;
        }
    }
    if ROW_SUMS {
        workgroupBarrier();
        if tile == 0u && slice < TILE_ROWS && row < step.rows * SAMPLES {
            var sum = row_sums[0][slice];
            for (var t = 1u; t < TILES; t++) {
                sum += row_sums[t][slice];
            }
            finish_block(row, group.x, sum);
        }
    }
}
