// A term of four rows of an operand at a time, for the kernels whose threads make four rows by four columns. Rows past the last
// one are clamped to it.

struct InputRows {
    x: InputRow,
    y: InputRow,
    z: InputRow,
    w: InputRow,
}

struct DoutputRows {
    x: DoutputRow,
    y: DoutputRow,
    z: DoutputRow,
    w: DoutputRow,
}

fn input_rows(first: u32) -> InputRows {
    let row = row_starts(first, live_rows(), 1u);
    return InputRows(input_row(row.x), input_row(row.y), input_row(row.z), input_row(row.w));
}

fn load_input(rows: InputRows, term: u32) -> mat4x4f {
    return mat4x4f(
        input_term(rows.x, term),
        input_term(rows.y, term),
        input_term(rows.z, term),
        input_term(rows.w, term),
    );
}

// Four rows of the weight, whose starts are in quads.
fn load_weight(rows: vec4u, term: u32) -> mat4x4f {
    let at = rows + term;
    return mat4x4f(weight_at(at.x), weight_at(at.y), weight_at(at.z), weight_at(at.w));
}

fn doutput_rows(phase: Phase, first: u32) -> DoutputRows {
    let row = row_starts(first, dinput_rows(), 1u);
    return DoutputRows(
        doutput_row(phase, row.x),
        doutput_row(phase, row.y),
        doutput_row(phase, row.z),
        doutput_row(phase, row.w),
    );
}

fn load_doutput(phase: Phase, rows: DoutputRows, term: u32) -> mat4x4f {
    return mat4x4f(
        doutput_term(phase, rows.x, term),
        doutput_term(phase, rows.y, term),
        doutput_term(phase, rows.z, term),
        doutput_term(phase, rows.w, term),
    );
}

// A quad of four examples' gradients of the output: examples are the terms of the weight's gradient.
fn load_examples(first: u32, quad: u32) -> mat4x4f {
    let at = row_starts(first, live_rows(), OUTPUT_QUADS) + quad;
    return mat4x4f(doutput_at(at.x), doutput_at(at.y), doutput_at(at.z), doutput_at(at.w));
}
