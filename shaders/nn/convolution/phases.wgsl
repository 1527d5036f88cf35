// The rows of a convolution's output, and the phases of the gradient of its input; see nn/dense/rows.wgsl.
//
//   weight     (OUTPUTS, KERNEL, KERNEL, CHANNELS): the runs of a window, padded to whole quads
//   doutput    (B * positions of the small grid, OUTPUTS)
//
// The sum for a position of the large grid has a term for each window that it is in. Positions that have the same remainder
// modulo the stride, along both axes, are a phase: they are met by the same taps, those that are one stride apart. The rows of
// the input's gradient are in order of their phases, whose first rows are multiples of any tile.
//
// A header for the files that define the rows of the input, and RUN_QUADS, the quads of a run.

#import nn/convolution/size.wgsl

override DINPUT_QUADS: u32 = (CHANNELS + 3u) / 4u;
override PHASE_HEIGHT: u32 = (HEIGHT + STRIDE - 1u) / STRIDE;
override PHASE_WIDTH: u32 = (WIDTH + STRIDE - 1u) / STRIDE;
override PHASE_POSITIONS: u32 = PHASE_HEIGHT * PHASE_WIDTH;
override PHASE_ROWS: u32;       // rows of a phase, with those that fill up its last tile

struct Phase {
    at: vec2u,      // the remainders, y and x
    tap: vec2u,     // the first tap
    taps: vec2u,    // how many there are
}

// A position of the small grid: the first tap's.
struct DoutputRow {
    at: vec2u,
    start: u32,     // its first quad
}

fn phase_of(row: u32) -> Phase {
    let phase = row / PHASE_ROWS;
    let at = vec2u(phase / STRIDE, phase % STRIDE);
    let tap = (at + PADDING) % STRIDE;
    let taps = (vec2u(KERNEL + STRIDE - 1u) - tap) / STRIDE;
    // Where all phases have the same number, it is a constant.
    return Phase(at, tap, select(taps, vec2u(KERNEL / STRIDE), KERNEL % STRIDE == 0u));
}

fn terms_of(phase: Phase) -> u32 {
    return phase.taps.x * phase.taps.y * OUTPUT_QUADS;
}

fn dinput_rows() -> u32 {
    return STRIDE * STRIDE * PHASE_ROWS;
}

fn live_phase_rows() -> u32 {
    return step.examples * SAMPLES * PHASE_POSITIONS;
}

fn doutput_row(phase: Phase, row: u32) -> DoutputRow {
    let n = min(row % PHASE_ROWS, live_phase_rows() - 1u);
    let at = vec2u(n / PHASE_WIDTH % PHASE_HEIGHT, n % PHASE_WIDTH) + (phase.at + PADDING) / STRIDE;
    return DoutputRow(at, (n / PHASE_POSITIONS * SMALL_POSITIONS + at.x * SMALL_WIDTH + at.y) * OUTPUT_QUADS);
}

// The taps before a term's.
fn taps_before(phase: Phase, term: u32) -> vec2u {
    let tap = term / OUTPUT_QUADS;
    return vec2u(tap / phase.taps.y, tap % phase.taps.y);
}

fn doutput_term(phase: Phase, row: DoutputRow, term: u32) -> vec4f {
    let taps = taps_before(phase, term);
    // Positions before the first one wrap around.
    let inside = all(row.at - taps < vec2u(SMALL_HEIGHT, SMALL_WIDTH));
    let index = row.start + term % OUTPUT_QUADS - (taps.x * SMALL_WIDTH + taps.y) * OUTPUT_QUADS;
    return select(vec4f(), doutput_at(select(0u, index, inside)), inside);
}

// The tap of a term, as its first value in a row of the weight.
fn tap_start(phase: Phase, term: u32) -> u32 {
    let tap = phase.tap + taps_before(phase, term) * STRIDE;
    return tap.x * 4u * RUN_QUADS + tap.y * CHANNELS;
}

fn weight_terms(phase: Phase, term: u32, quad: u32) -> mat4x4f {
    let rows = vec4u(4u * (term % OUTPUT_QUADS)) + vec4u(0u, 1u, 2u, 3u);
    let at = rows * INPUT_QUADS + tap_start(phase, term) / 4u + quad;
    return mat4x4f(weight_at(at.x), weight_at(at.y), weight_at(at.z), weight_at(at.w));
}

fn finish_dinput(phase: Phase, row: u32, quad: u32, value: vec4f) {
    let n = row % PHASE_ROWS;
    let at = vec2u(n / PHASE_WIDTH % PHASE_HEIGHT, n % PHASE_WIDTH) * STRIDE + phase.at;
    if n < live_phase_rows() && all(at < vec2u(HEIGHT, WIDTH)) {
        finish((n / PHASE_POSITIONS * HEIGHT + at.x) * WIDTH + at.y, quad, value);
    }
}

// For epilogues of the product that makes the gradient of the input.
fn input_quad(row: u32, quad: u32) -> vec4f {
    return input_at(row * DINPUT_QUADS + quad);
}
