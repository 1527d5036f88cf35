// A draw from the logistic likelihood over levels: the nearest level to mean + s * logit(u), u uniform.

#import lib/levels.wgsl

fn pixel(row: u32, d: u32) -> f32 {
    // 23 bits and a half: u and 1 - u are exact, and neither is 0.
    let u = (f32(random_words(row, d, 0u).x >> 9u) + 0.5) * 0x1p-23;
    let s = exp_or_nan(log_scale(vec2f(output(row, 2u * d + 1u))).x);
    return nearest_level(output(row, 2u * d) + s * (log(u) - log(1.0 - u)));
}
