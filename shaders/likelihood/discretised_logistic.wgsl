// The logistic likelihood over the levels 0, 1/255, ..., 1, as the epilogue of the product that makes, for each dimension,
// the mean and the logarithm of the scale s relative to its initial value. A level has the probability of all values that
// round to it; the lowest and the highest level also have that of all values beyond them.
//
//   a = (x + 1/510 - mean) / s,  b = (x - 1/510 - mean) / s,  delta = a - b = 1 / (255 s)
//   log p = -softplus(-a) - softplus(b) + log(1 - exp(-delta)); only the first term if x = 0, only the second if x = 1
//   -dlog p / dmean = (sigmoid(-a) - sigmoid(b)) / s
//   -dlog p / dlog s = a sigmoid(-a) - b sigmoid(b) + delta / (exp(delta) - 1), with the same terms left out
//
// The gradients are those of the mean of -log_prob over the rows, (mean, raw, mean, raw) in each quad.

#import lib/activation.wgsl
#import lib/levels.wgsl
#import lib/matrix.wgsl
#import likelihood/log_prob.wgsl
#import gradient

override D: u32;
override X_QUADS: u32;

@group(0) @binding(10) var<storage, read> x: array<vec2f>;                  // (B, D)

const HALF = 0.5 / LEVELS;
const LOG_LEVELS = 5.541263545158426;

// log(1 - exp(-delta)), and delta / (exp(delta) - 1): by their series if delta is small, where terms would cancel, or 0.
fn log_width(log_s: vec2f, delta: vec2f) -> vec2f {
    let square = delta * delta;
    let series = -0.5 * delta + square * (1.0 / 24.0 - square / 2880.0);
    return select(log(1.0 - exp(-delta)), series - log_s - LOG_LEVELS, delta < vec2f(0.5));
}

fn width_slope(delta: vec2f) -> vec2f {
    let square = delta * delta;
    let series = 1.0 - 0.5 * delta + square * (1.0 / 12.0 - square / 720.0);
    let e = exp(-delta);
    return select(delta * e / (1.0 - e), series, delta < vec2f(0.5));
}

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    let target_x = x[2u * example_of(row) * X_QUADS + quad];
    let log_s = log_scale(value.yw);
    let inverse_s = exp(-log_s);
    let distance = target_x - value.xz;
    let ends = vec4f(-(distance + HALF), distance - HALF) * vec4f(inverse_s, inverse_s);    // -a and b
    let lowest = target_x < vec2f(HALF);
    let highest = target_x > vec2f(1.0 - HALF);
    let left_out = vec4<bool>(highest, lowest);
    let delta = 2.0 * HALF * inverse_s;
    let tails = select(softplus(ends), vec4f(), left_out);
    let slopes = select(sigmoid(ends), vec4f(), left_out);
    // If an end is infinite, its slope is 0, and 0 times infinity would be NaN.
    let moments = select(ends * slopes, vec4f(), ends < vec4f(-100.0));
    let edge = lowest | highest;
    let log_p = select(log_width(log_s, delta), vec2f(), edge) - tails.xy - tails.zw;
    let dmean = (slopes.xy - slopes.zw) * inverse_s;
    let dlog_s = select(width_slope(delta), vec2f(), edge) - moments.xy - moments.zw;
    let clamped = value.yw + LOG_SCALE_START < vec2f(LOG_SCALE_MIN);
    let d_raw = select(dlog_s, vec2f(), clamped);
    keep_gradient(row, quad, keep(vec4f(dmean.x, d_raw.x, dmean.y, d_raw.y), 4u * quad, 2u * D));
    return dot(keep(or_nan(vec4f(log_p.x, 0.0, log_p.y, 0.0), value), 4u * quad, 2u * D), vec4f(1.0));
}
