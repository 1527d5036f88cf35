// Shared by the likelihoods over grey levels: the pixels 0, 1/255, ..., 1, and clamped parameters.

#import lib/nan.wgsl

const LEVELS = 255.0;       // above 0

// The logistic's scale starts at 0.1 and is at least exp(-7), about a quarter of a level: below that it has no gradient.
const LOG_SCALE_START = -2.302585092994046;
const LOG_SCALE_MIN = -7.0;

// Both of the beta distribution's counts are between exp(-7) and exp(7).
const LOG_COUNT_MAX = 7.0;

// The nearest level. NaN stays NaN, here and below.
fn nearest_level(x: f32) -> f32 {
    let level = round(LEVELS * x);
    return or_nan_scalar(select(select(level, LEVELS, level > LEVELS), 0.0, level < 0.0) / LEVELS, x);
}

fn log_scale(raw: vec2f) -> vec2f {
    let started = raw + LOG_SCALE_START;
    let clamped = select(started, vec2f(LOG_SCALE_MIN), started < vec2f(LOG_SCALE_MIN));
    return or_nan(vec4f(clamped, vec2f()), vec4f(raw, vec2f())).xy;
}

fn log_count(raw: vec4f) -> vec4f {
    let clamped = select(raw, vec4f(-LOG_COUNT_MAX), raw < vec4f(-LOG_COUNT_MAX));
    return or_nan(select(clamped, vec4f(LOG_COUNT_MAX), raw > vec4f(LOG_COUNT_MAX)), raw);
}
