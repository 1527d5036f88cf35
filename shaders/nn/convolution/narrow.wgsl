// The transposed convolution to few channels, such as those of an image: finish(position, quad, sum of its terms).
//
// A thread makes ROWS positions, one workgroup apart, of a quad of channels: a block of the weight, which is the same for all
// threads, is loaded once for them. Columns past the last channel are anything.

#import rows
#import epilogue

override THREADS: u32;

const ROWS = 8u;

@group(0) @binding(7) var<storage, read> weights: array<vec4f>;     // the weight, as a buffer for every adapter

// Four adjacent values of the weight.
fn weight_values(first: u32) -> vec4f {
    let left = weights[first / 4u];
    let right = weights[min(first / 4u + 1u, arrayLength(&weights) - 1u)];
    return four_from(left, right, first);
}

@compute @workgroup_size(THREADS)
fn transposed(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = tile.x * THREADS * ROWS;
    if first < dinput_rows() {
        let phase = phase_of(first);
        var rows: array<DoutputRow, ROWS>;
        for (var j = 0u; j < ROWS; j++) {
            rows[j] = doutput_row(phase, first + j * THREADS + lane);
        }
        var sums: array<vec4f, ROWS>;
        for (var term = tile.z; term < terms_of(phase); term++) {
            let at = 16u * (term % OUTPUT_QUADS) * INPUT_QUADS + tap_start(phase, term) + 4u * tile.y;
            let block = mat4x4f(
                weight_values(at),
                weight_values(at + 4u * INPUT_QUADS),
                weight_values(at + 8u * INPUT_QUADS),
                weight_values(at + 12u * INPUT_QUADS),
            );
            for (var j = 0u; j < ROWS; j++) {
                sums[j] += block * doutput_term(phase, rows[j], term);
            }
        }
        for (var j = 0u; j < ROWS; j++) {
            finish_dinput(phase, first + j * THREADS + lane, tile.y, sums[j]);
        }
    }
}
