// The range that log variances, of a posterior or of a mixture's components, are held to, if they are held to one.

#import lib/nan.wgsl

override LOGVAR_MIN: f32 = -3.0e38;
override LOGVAR_MAX: f32 = 3.0e38;

fn hold_logvar(logvar: vec4f) -> vec4f {
    let held = select(logvar, vec4f(LOGVAR_MIN), logvar < vec4f(LOGVAR_MIN));
    return or_nan(select(held, vec4f(LOGVAR_MAX), logvar > vec4f(LOGVAR_MAX)), logvar);
}

// The gradient by the log variance before it was held: none where it was out of range.
fn through_hold(logvar: vec4f, gradient: vec4f) -> vec4f {
    let outside = (logvar < vec4f(LOGVAR_MIN)) | (logvar > vec4f(LOGVAR_MAX));
    return select(gradient, vec4f(), outside);
}
