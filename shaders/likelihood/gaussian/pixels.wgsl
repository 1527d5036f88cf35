// Pixels of the Gaussian likelihood, whose mean is the decoder's output: the mean, or mean + exp(logvar / 2) * noise.

override PER_DIMENSION: bool;   // whether each dimension has a log variance of its own

@group(0) @binding(10) var<storage, read> logvar: array<f32>;   // (D) if PER_DIMENSION, or (1)

fn pixel_mean(row: u32, d: u32) -> f32 {
    return output(row, d);
}

fn pixel_draw(row: u32, d: u32) -> f32 {
    let noise = box_muller(random_words(row, d, 0u).xy).x;
    return output(row, d) + exp(0.5 * logvar[select(0u, d, PER_DIMENSION)]) * noise;
}
