// A draw from the beta-binomial likelihood by Polya's urn: of 255 balls, each is white with the probability that white has in
// the urn, which starts with alpha of white in alpha + beta, and goes back together with another one of its colour.

#import lib/levels.wgsl

fn pixel(row: u32, d: u32) -> f32 {
    let counts = exp(log_count(vec4f(output(row, 2u * d), output(row, 2u * d + 1u), 0.0, 0.0)));
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
    // No comparison is true of NaN, and it stays: a model that gives it must not pass for one that gives black.
    let all = counts.x + counts.y;
    return select(all, level / LEVELS, all > 0.0);
}
