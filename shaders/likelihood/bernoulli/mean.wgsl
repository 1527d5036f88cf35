// The mean of the Bernoulli likelihood, sigmoid(logits), as the epilogue of the product that makes the logits.

#import lib/activation.wgsl
#import lib/matrix.wgsl

override D: u32;
override QUADS: u32 = (D + 3u) / 4u;

@group(0) @binding(10) var<storage, read_write> mean: array<vec4f>;     // (B, D)

const ROW_SUMS = false;

fn finish(row: u32, quad: u32, logits: vec4f) -> f32 {
    mean[row * QUADS + quad] = keep(sigmoid(logits), 4u * quad, D);
    return 0.0;
}

fn finish_block(row: u32, block: u32, sum: f32) {}
