// The transposed convolution to few channels, such as those of an image: finish(position, quad, sum of its terms).
//
// A thread makes ROWS positions, one workgroup apart, of a quad of channels: a block of the weight, which is the same for all
// threads, is loaded once for them.

#import rows
#import block
#import epilogue

override THREADS: u32;
override LAST_WEIGHT: u32 = OUTPUTS * INPUT_QUADS - 1u;    // the last quad of the weight

const ROWS = 8u;

// Four adjacent values of the weight; they may start anywhere in a quad.
fn weight_values(first: u32) -> vec4f {
    let quad = first / 4u;
    return four_from(weight_at(quad), weight_at(min(quad + 1u, LAST_WEIGHT)), first);
}

@compute @workgroup_size(THREADS)
fn transposed(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = tile.x * THREADS * ROWS;
    // Where the driver knows that there is one quad, it leaves out the sums that the epilogue does not store.
    let quad = select(tile.y, 0u, CHANNELS <= 4u);
    if first < dinput_rows() {
        let phase = phase_of(first);
        var rows: array<DoutputRow, ROWS>;
        for (var j = 0u; j < ROWS; j++) {
            rows[j] = doutput_row(phase, first + j * THREADS + lane);
        }
        var sums: array<vec4f, ROWS>;
        for (var term = tile.z; term < terms_of(phase); term++) {
            let at = 16u * (term % OUTPUT_QUADS) * INPUT_QUADS + tap_start(phase, term) + 4u * quad;
            let block = weight_block(at, 4u * INPUT_QUADS, lane);
            for (var j = 0u; j < ROWS; j++) {
                sums[j] += block * doutput_term(phase, rows[j], term);
            }
        }
        for (var j = 0u; j < ROWS; j++) {
            finish_dinput(phase, first + j * THREADS + lane, quad, sums[j]);
        }
    }
}
