// Pixels of the beta-binomial likelihood: the mean alpha / (alpha + beta), or a draw.
//
// The draw is Polya's urn: the urn starts with alpha white balls and beta black ones. Each of 255 drawn balls goes back
// together with another ball of its colour. The level is the number of white balls drawn.

#import lib/activation.wgsl
#import lib/levels.wgsl

fn log_counts(row: u32, d: u32) -> vec4f {
    return log_count(vec4f(output(row, 2u * d), output(row, 2u * d + 1u), 0.0, 0.0));
}

fn pixel_mean(row: u32, d: u32) -> f32 {
    let counts = log_counts(row, d);
    return sigmoid(vec4f(counts.x - counts.y)).x;
}

fn pixel_draw(row: u32, d: u32) -> f32 {
    let logs = log_counts(row, d);
    let counts = exp(logs);
    var level = 0.0;
    var words = vec4u();
    for (var ball = 0u; ball < 255u; ball++) {
        if ball % 4u == 0u {
            words = random_words(row, d, ball / 4u);
        }
        let u = unit(words.x);
        words = words.yzwx;
        level += select(0.0, 1.0, u * (counts.x + counts.y + f32(ball)) < counts.x + level);
    }
    return or_nan_scalar(level / LEVELS, logs.x + logs.y);
}
