// Detects NaN by its bits. A driver may assume that there is no NaN: it may fold `x != x` to false, turn a comparison and a
// `select` into `min` or `max`, which drop NaN, and return any number as `exp` or `tanh` of NaN. A broken model must still
// be noticed, so its NaN has to reach the loss and the pixels.

fn is_nan(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7FFFFFFFu)) > vec4u(0x7F800000u);
}

// `value`, or NaN where x is NaN.
fn or_nan(value: vec4f, x: vec4f) -> vec4f {
    return bitcast<vec4f>(select(bitcast<vec4u>(value), bitcast<vec4u>(x), is_nan(x)));
}

// The same for one number.
fn or_nan_scalar(value: f32, x: f32) -> f32 {
    let is_nan = (bitcast<u32>(x) & 0x7FFFFFFFu) > 0x7F800000u;
    return bitcast<f32>(select(bitcast<u32>(value), bitcast<u32>(x), is_nan));
}

fn exp_or_nan(x: f32) -> f32 {
    return or_nan_scalar(exp(x), x);
}
