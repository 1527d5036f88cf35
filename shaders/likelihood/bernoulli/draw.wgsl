// A draw from the Bernoulli likelihood: 1 with the probability sigmoid(logits), or else 0.

#import lib/activation.wgsl

fn pixel(row: u32, d: u32) -> f32 {
    let prob = sigmoid(vec4f(output(row, d))).x;
    let u = unit(random_words(row, d, 0u).x);
    // No comparison is true of NaN, and it stays: a model that gives it must not pass for one that gives black.
    return select(select(prob, 0.0, u >= prob), 1.0, u < prob);
}
