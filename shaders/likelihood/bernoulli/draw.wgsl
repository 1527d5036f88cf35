// A draw from the Bernoulli likelihood: 1 with the probability sigmoid(logits), or else 0.

#import lib/activation.wgsl

fn pixel(row: u32, d: u32) -> f32 {
    let prob = sigmoid(vec4f(output(row, d))).x;
    let u = unit(random_words(row, d, 0u).x);
    return or_nan_scalar(select(0.0, 1.0, u < prob), prob);
}
