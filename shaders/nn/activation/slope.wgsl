// Stores the derivatives of an activation for the backward pass. It fills the slot `slope`.

override SLOPE_QUADS: u32;

@group(0) @binding(11) var<storage, read_write> slope: array<vec4f>;    // the shape of the product

fn keep_slope(row: u32, quad: u32, value: vec4f) {
    slope[row * SLOPE_QUADS + quad] = value;
}
