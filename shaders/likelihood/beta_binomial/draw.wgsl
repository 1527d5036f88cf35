// A draw from the beta-binomial likelihood by Polya's urn: of 255 balls, each is white with the probability that white has in
// the urn, which starts with alpha of white in alpha + beta, and goes back together with another one of its colour.

#import lib/levels.wgsl

fn pixel(row: u32, d: u32) -> f32 {
    let log_counts = log_count(vec4f(output(row, 2u * d), output(row, 2u * d + 1u), 0.0, 0.0));
    let counts = exp(log_counts);
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
    return or_nan_scalar(level / LEVELS, log_counts.x + log_counts.y);
}
