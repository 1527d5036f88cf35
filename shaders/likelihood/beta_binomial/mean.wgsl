// The mean of the beta-binomial likelihood: alpha / (alpha + beta).

#import lib/activation.wgsl
#import lib/levels.wgsl

fn pixel(row: u32, d: u32) -> f32 {
    let counts = log_count(vec4f(output(row, 2u * d), output(row, 2u * d + 1u), 0.0, 0.0));
    return sigmoid(vec4f(counts.x - counts.y)).x;
}
