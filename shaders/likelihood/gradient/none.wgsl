// Fills the slot `gradient` if no backward pass follows.

fn keep_gradient(row: u32, quad: u32, value: vec4f) {}
