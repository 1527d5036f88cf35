// Fills the slot `slope` if no backward pass follows: the derivatives of the activation are not stored.

fn keep_slope(row: u32, quad: u32, value: vec4f) {}
