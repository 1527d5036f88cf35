// A block of the weight, which each thread loads.

fn weight_block(at: u32, row: u32, lane: u32) -> mat4x4f {
    return mat4x4f(
        weight_values(at),
        weight_values(at + row),
        weight_values(at + 2u * row),
        weight_values(at + 3u * row),
    );
}
