// The windows of a convolution whose channels are whole quads. A run is a line of the window.

#import nn/convolution/size.wgsl

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
