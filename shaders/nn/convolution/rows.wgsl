// The rows of the operands of a convolution whose channels are whole quads, see nn/dense/rows.wgsl. Nothing is unfolded: a row of the
// input is the window of a position of the small grid, gathered while it is multiplied. It has KERNEL runs of adjacent values, one
// for each line of the window.

#import operands
#import nn/convolution/phases.wgsl

override RUN_QUADS: u32 = KERNEL * CHANNELS / 4u;
override LINE_QUADS: u32 = WIDTH * CHANNELS / 4u;

// Where a window starts: its line, the first quad in that line, and in the whole input. They wrap around below zero.
struct InputRow {
    y: u32,
    x: u32,
    start: u32,
}

fn input_row(row: u32) -> InputRow {
    let y = row / SMALL_WIDTH % SMALL_HEIGHT * STRIDE - PADDING;
    let x = (row % SMALL_WIDTH * STRIDE - PADDING) * (CHANNELS / 4u);
    return InputRow(y, x, (row / SMALL_POSITIONS * HEIGHT + y) * LINE_QUADS + x);
}

fn input_term(row: InputRow, term: u32) -> vec4f {
    let line = term / RUN_QUADS;
    let in_line = term % RUN_QUADS;
    let inside = row.y + line < HEIGHT && row.x + in_line < LINE_QUADS;
    let index = row.start + line * LINE_QUADS + in_line;
    return select(vec4f(), input_at(select(0u, index, inside)), inside);
}
