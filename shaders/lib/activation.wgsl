// Activations and their derivatives, all as functions of the value before the activation, `x`. NaN stays NaN.

#import lib/nan.wgsl

const RELU = 0u;
const LEAKY_RELU = 1u;
const ELU = 2u;
const SILU = 3u;
const GELU = 4u;
const TANH = 5u;
const SIGMOID = 6u;
const SOFTPLUS = 7u;

const LEAKY_SLOPE = 0.01;

// The argument of exp is never positive, so it cannot overflow.
fn sigmoid(x: vec4f) -> vec4f {
    let e = exp(-abs(x));
    return or_nan(select(e, vec4f(1.0), x >= vec4f()) / (1.0 + e), x);
}

// log(1 + exp(x)), without overflow.
fn softplus(x: vec4f) -> vec4f {
    return or_nan(max(x, vec4f()) + log(1.0 + exp(-abs(x))), x);
}

// The standard normal's cumulative distribution, by Abramowitz & Stegun 7.1.26: absolute error below 1e-7.
fn normal_cdf(x: vec4f) -> vec4f {
    let y = abs(x) * 0.7071067811865476;
    let t = 1.0 / (1.0 + 0.3275911 * y);
    let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let tail = 0.5 * poly * exp(-y * y);
    return select(tail, 1.0 - tail, x >= vec4f());
}

fn normal_density(x: vec4f) -> vec4f {
    return 0.3989422804014327 * exp(-0.5 * x * x);
}

// Some drivers compute tanh as a quotient of exponentials that overflow; at 15 it is 1 to the last bit.
fn stable_tanh(x: vec4f) -> vec4f {
    return select(tanh(x), sign(x), abs(x) > vec4f(15.0));
}

fn activate(kind: u32, x: vec4f) -> vec4f {
    return or_nan(activate_number(kind, x), x);
}

fn activate_number(kind: u32, x: vec4f) -> vec4f {
    let negative = x < vec4f();
    switch kind {
        case RELU: { return select(x, vec4f(), negative); }
        case LEAKY_RELU: { return select(x, LEAKY_SLOPE * x, negative); }
        case ELU: { return select(x, exp(min(x, vec4f())) - 1.0, negative); }
        case SILU: { return x * sigmoid(x); }
        case GELU: { return x * normal_cdf(x); }
        case TANH: { return stable_tanh(x); }
        case SIGMOID: { return sigmoid(x); }
        default: { return softplus(x); }
    }
}

fn activation_derivative(kind: u32, x: vec4f) -> vec4f {
    let positive = x > vec4f();
    switch kind {
        case RELU: { return select(vec4f(), vec4f(1.0), positive); }
        case LEAKY_RELU: { return select(vec4f(LEAKY_SLOPE), vec4f(1.0), positive); }
        case ELU: { return select(exp(min(x, vec4f())), vec4f(1.0), positive); }
        case SILU: {
            let s = sigmoid(x);
            return s * (1.0 + x * (1.0 - s));
        }
        case GELU: { return normal_cdf(x) + x * normal_density(x); }
        case TANH: {
            let y = stable_tanh(x);
            return 1.0 - y * y;
        }
        case SIGMOID: {
            let s = sigmoid(x);
            return s * (1.0 - s);
        }
        default: { return sigmoid(x); }
    }
}
