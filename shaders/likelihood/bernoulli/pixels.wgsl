// Pixels of the Bernoulli likelihood: the mean sigmoid(logits), or 1 with that probability and else 0.

#import lib/activation.wgsl

fn pixel_mean(row: u32, d: u32) -> f32 {
    return sigmoid(vec4f(output(row, d))).x;
}

fn pixel_draw(row: u32, d: u32) -> f32 {
    let prob = pixel_mean(row, d);
    let u = unit(random_words(row, d, 0u).x);
    return or_nan_scalar(select(0.0, 1.0, u < prob), prob);
}
