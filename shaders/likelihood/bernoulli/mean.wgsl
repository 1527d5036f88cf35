// The mean of the Bernoulli likelihood, sigmoid(logits), as the epilogue of the product that makes the logits.

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import nn/epilogue/no_sums.wgsl

override D: u32;
override MEAN_QUADS: u32;

@group(0) @binding(10) var<storage, read_write> mean: array<vec4f>;     // (B, D)

fn finish(row: u32, quad: u32, logits: vec4f) -> f32 {
    mean[row * MEAN_QUADS + quad] = keep(sigmoid(logits), 4u * quad, D);
    return 0.0;
}
