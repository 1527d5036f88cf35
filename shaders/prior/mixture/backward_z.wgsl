// The gradient of -log p(z) under a mixture, with respect to z.
//
//   prior_dz[row, l] = sum_c responsibilities[row, c] (z[row, l] - m[c, l]) precisions[c, l]
//
// A workgroup processes four rows and eight quads of latents, along x. The sum over components is cut into slices along y,
// which are added in order. Rows past the last are clamped to it for loads and left out by the stores.

#import lib/matrix.wgsl
#import lib/step.wgsl

override COMPONENTS: u32;
override Z_QUADS: u32;
override RESPONSIBILITIES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;                   // (B * SAMPLES, L)
@group(0) @binding(2) var<storage, read> means: array<vec4f>;               // (M, L)
@group(0) @binding(3) var<storage, read> precisions: array<vec4f>;          // (M, L)
@group(0) @binding(4) var<storage, read> responsibilities: array<vec4f>;    // (B * SAMPLES, M)
@group(0) @binding(5) var<storage, read_write> prior_dz: array<vec4f>;      // (B * SAMPLES, L)

const WIDTH = 8u;
const SLICES = 8u;
const ROWS = 4u;

var<workgroup> partial_sums: array<mat4x4f, SLICES * WIDTH>;    // [slice][quad], a row a column of the matrix

fn load_z(rows: vec4u, quad: u32) -> mat4x4f {
    return mat4x4f(z[rows.x + quad], z[rows.y + quad], z[rows.z + quad], z[rows.w + quad]);
}

// The terms of one component for four rows.
fn pull(draws: mat4x4f, shares: vec4f, at: u32) -> mat4x4f {
    let mean = means[at];
    let inverse_variance = precisions[at];
    return mat4x4f(
        shares.x * ((draws[0] - mean) * inverse_variance),
        shares.y * ((draws[1] - mean) * inverse_variance),
        shares.z * ((draws[2] - mean) * inverse_variance),
        shares.w * ((draws[3] - mean) * inverse_variance));
}

@compute @workgroup_size(WIDTH, SLICES)
fn backward_z(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
    let rows = live_rows();
    let first = group.y * ROWS;
    let quad = group.x * WIDTH + thread.x;
    let at = min(quad, Z_QUADS - 1u);
    if first < rows {
        let draws = load_z(row_starts(first, rows, Z_QUADS), at);
        let own = row_starts(first, rows, RESPONSIBILITIES_QUADS);
        var sum = mat4x4f();
        for (var c = thread.y; c < RESPONSIBILITIES_QUADS; c += SLICES) {
            // Components past the last one have responsibility 0.
            let shares = transpose(mat4x4f(
                responsibilities[own.x + c], responsibilities[own.y + c],
                responsibilities[own.z + c], responsibilities[own.w + c]));
            let starts = row_starts(4u * c, COMPONENTS, Z_QUADS) + at;
            sum += pull(draws, shares[0], starts.x);
            sum += pull(draws, shares[1], starts.y);
            sum += pull(draws, shares[2], starts.z);
            sum += pull(draws, shares[3], starts.w);
        }
        partial_sums[thread.y * WIDTH + thread.x] = sum;
    }
    workgroupBarrier();
    // Each of the first ROWS threads along y sums one row.
    let row = first + thread.y;
    if thread.y < ROWS && row < rows && quad < Z_QUADS {
        var total = partial_sums[thread.x][thread.y];
        for (var s = 1u; s < SLICES; s++) {
            total += partial_sums[s * WIDTH + thread.x][thread.y];
        }
        prior_dz[row * Z_QUADS + quad] = total;
    }
}
