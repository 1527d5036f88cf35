// The rows of the operands of a convolution of images with any number of channels, as those of rows.wgsl. An image is one row, with its values next to each other;
// padded to quads, a grey one would take four times the memory and the arithmetic. A run is a line of the window, padded to
// whole quads: a term is four adjacent values, from two quads of the image.

#import operands
#import nn/convolution/phases.wgsl

override RUN: u32 = KERNEL * CHANNELS;
override RUN_QUADS: u32 = (RUN + 3u) / 4u;
override LINE: u32 = WIDTH * CHANNELS;
override IMAGE_QUADS: u32 = (HEIGHT * LINE + 3u) / 4u;
override LAST_QUAD: u32 = EXAMPLES * IMAGE_QUADS - 1u;

// Where a window starts: its line, the first value in that line, and in the image; and the first quad of the image.
struct InputRow {
    y: i32,
    x: i32,
    start: i32,
    image: i32,
}

fn input_row(row: u32) -> InputRow {
    let y = i32(row / SMALL_WIDTH % SMALL_HEIGHT * STRIDE) - i32(PADDING);
    let x = (i32(row % SMALL_WIDTH * STRIDE) - i32(PADDING)) * i32(CHANNELS);
    return InputRow(y, x, y * i32(LINE) + x, i32(row / SMALL_POSITIONS * IMAGE_QUADS));
}

fn input_term(row: InputRow, term: u32) -> vec4f {
    let line = i32(term / RUN_QUADS);
    let first = i32(4u * (term % RUN_QUADS));
    let start = row.start + line * i32(LINE) + first;
    // Also below zero, a shift rounds down, and the two last bits are the remainder.
    let quad = row.image + (start >> 2u);
    let left = input_at(u32(clamp(quad, 0, i32(LAST_QUAD))));
    let right = input_at(u32(clamp(quad + 1, 0, i32(LAST_QUAD))));
    let values = four_from(left, right, u32(start));
    let in_run = vec4i(first) + vec4i(0, 1, 2, 3);
    let in_line = vec4i(row.x) + in_run;
    let y = row.y + line;
    let inside = (in_line >= vec4i(0)) & (in_line < vec4i(i32(LINE))) & (in_run < vec4i(i32(RUN)));
    return select(vec4f(), values, inside & vec4<bool>(y >= 0 && y < i32(HEIGHT)));
}
