// The rows of a dense layer's operands. A convolution has other rows, see nn/convolution/rows.wgsl: the kernels of products find
// their operands only through these functions, of which a term is a quad of a row.
//
//   input_row, input_term        a row of the input, and a term of it
//   weight_terms                 four rows of the weight, those of a term of `doutput`, at a quad of columns
//   doutput_row, doutput_term    a row of the gradient of the output, and a term of it
//   phase_of, terms_of           rows of the input's gradient whose sums have the same terms are a phase; how many terms they have
//   finish_dinput                gives a row of the input's gradient to the epilogue
//
// A dense layer has one phase. Rows have to be live.

#import operands

override DINPUT_QUADS: u32 = INPUT_QUADS;   // columns of the input's gradient

alias InputRow = u32;   // the first quad
alias DoutputRow = u32;
alias Phase = u32;

fn input_row(row: u32) -> InputRow {
    return row * INPUT_QUADS;
}

fn input_term(row: InputRow, term: u32) -> vec4f {
    return input_at(row + term);
}

fn phase_of(row: u32) -> Phase {
    return 0u;
}

fn terms_of(phase: Phase) -> u32 {
    return OUTPUT_QUADS;
}

// Rows of the input's gradient, of all phases.
fn dinput_rows() -> u32 {
    return live_rows();
}

fn doutput_row(phase: Phase, row: u32) -> DoutputRow {
    return row * OUTPUT_QUADS;
}

fn doutput_term(phase: Phase, row: DoutputRow, term: u32) -> vec4f {
    return doutput_at(row + term);
}

// Rows past the last one are clamped to it: they are multiplied by the padding of doutput, which is zero.
fn weight_terms(phase: Phase, term: u32, quad: u32) -> mat4x4f {
    let at = row_starts(4u * term, OUTPUTS, INPUT_QUADS) + quad;
    return mat4x4f(weight_at(at.x), weight_at(at.y), weight_at(at.z), weight_at(at.w));
}

fn finish_dinput(phase: Phase, row: u32, quad: u32, value: vec4f) {
    finish(row, quad, value);
}

// For epilogues of the product that makes the gradient of the input.
fn input_quad(row: u32, quad: u32) -> vec4f {
    return input_at(row * INPUT_QUADS + quad);
}
