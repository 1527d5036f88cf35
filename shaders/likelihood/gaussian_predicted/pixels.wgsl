// Pixels of the Gaussian likelihood with predicted variances: the mean, or mean + exp(logvar / 2) * noise.

#import lib/activation.wgsl

override LOGVAR_FLOOR: f32;
override SHIFT: f32;

fn pixel_mean(row: u32, d: u32) -> f32 {
    return output(row, 2u * d);
}

fn pixel_draw(row: u32, d: u32) -> f32 {
    let logvar = LOGVAR_FLOOR + softplus(vec4f(output(row, 2u * d + 1u) + SHIFT)).x;
    let noise = box_muller(random_words(row, d, 0u).xy).x;
    return output(row, 2u * d) + exp(0.5 * logvar) * noise;
}
