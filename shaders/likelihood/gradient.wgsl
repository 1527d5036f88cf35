// Stores the gradient of the mean of -log_prob over all rows for the backward pass. It fills the slot `gradient` of the
// likelihoods that are epilogues.

override GRADIENT_QUADS: u32;

@group(0) @binding(14) var<storage, read_write> gradient: array<vec4f>; // (B * SAMPLES, outputs)

// Stores a quad of the gradient, given that of -log_prob of a row.
fn keep_gradient(row: u32, quad: u32, value: vec4f) {
    gradient[row * GRADIENT_QUADS + quad] = share_of_row(value);
}
