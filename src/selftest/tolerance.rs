//! How far a conformant driver may be from the exact result, derived from what the graphics APIs promise.
//!
//! Sources: WGSL, section "Floating point accuracy"; Vulkan, "Precision and Operation of SPIR-V Instructions"; the
//! Direct3D 11.3 functional specification. Where they differ, the loosest counts. Adapters do much better as a rule; the
//! bound is what a strange but lawful one must keep. Where a formula is made of several operations, their errors are added
//! up to first order; [`Want::near`](super::compare::Want::near) covers the rest.

use super::reference::activation::{normal_cdf, normal_density, sigmoid};
use crate::nn::Activation;

/// A unit in the last place, relative. Sums, differences and products are correctly rounded, but in which direction is
/// left open: one whole unit.
pub const ULP: f64 = f32::EPSILON as f64;

/// Of a quotient, relative.
pub const DIVISION: f64 = 2.5 * ULP;

/// Of a square root, relative: it may be computed as `1 / inverseSqrt(x)`, of which the latter has 2 units.
pub const SQRT: f64 = INVERSE_SQRT + DIVISION;

/// Of an inverse square root, relative.
pub const INVERSE_SQRT: f64 = 2.0 * ULP;

/// Of a logarithm of a number from 0.5 to 2, absolute.
pub const LOG: f64 = 1.0 / (1 << 21) as f64;

/// Of a logarithm of any number, absolute: 3 units of its result, or [`LOG`].
pub fn log(result: f64) -> f64 {
    LOG + 3.0 * ULP * result.abs()
}

/// Of a hyperbolic tangent, absolute.
const TANH: f64 = 1e-5;

/// Of a standard normal from Box-Muller, absolute: the largest radius, `sqrt(-2 log 2^-24)`, times the error of a sine or
/// cosine, 4 units for its angle and its series, and that of the radius, 7. A wrong word of the generator is off by about 1.
pub const NOISE: f64 = 5.768 * 11.0 * ULP;

/// Of an exponential of `x`, relative: WGSL has `3 + 2 |x|` units, Direct3D 2^-21 of a power of two whose exponent,
/// `x / log(2)`, is rounded twice.
pub fn exp(x: f64) -> f64 {
    (4.0 + 2.0 * x.abs()) * ULP
}

/// Of a sum of `terms` products, in whatever order they are added, where `magnitude` is the sum of their magnitudes:
/// each is rounded when it is made, and at most once for each of the others.
pub fn sum(terms: usize, magnitude: f64) -> f64 {
    (terms + 1) as f64 * ULP * magnitude
}

/// Of the sigmoid as the shaders have it, absolute: through `e = exp(-|x|)`, a sum and a quotient.
pub fn sigmoid_error(x: f64) -> f64 {
    sigmoid(x) * (sigmoid(-x) * exp(x) + ULP + DIVISION)
}

/// Of `log(1 + exp(x))` as the shaders have it, absolute: `e = exp(-|x|)` is off, then `1 + e`, then its logarithm,
/// then the sum with `max(x, 0)`.
pub fn softplus_error(x: f64) -> f64 {
    sigmoid(-x.abs()) * exp(x) + ULP + LOG + ULP * (x.max(0.0) + 1.0)
}

/// Of the normal distribution function as the shaders have it, absolute.
///
/// Abramowitz & Stegun 7.1.26 is 1.5e-7 off for the error function. The rest is rounding: the quotient `t <= 1` is eight
/// units off, which the polynomial's slope makes 28; the polynomial's coefficients, whose magnitudes add up to 4.5, go
/// through five steps of two roundings, which is 45; and the exponential's argument is five units off.
fn normal_cdf_error(x: f64) -> f64 {
    let square = 0.5 * x * x;
    let polynomial_error = 73.0 * ULP * (-square).exp();
    let tail_error = normal_cdf(-x.abs()) * (exp(square) + 5.0 * square * ULP);
    0.5 * (1.5e-7 + polynomial_error) + tail_error + ULP
}

/// Of an activation, absolute.
pub fn activation(activation: Activation, x: f64) -> f64 {
    let rounding = ULP * x.abs();
    match activation {
        Activation::Relu => 0.0,
        // The slope, 0.01, is rounded too.
        Activation::LeakyRelu => 2.0 * rounding,
        Activation::Elu => x.min(0.0).exp() * exp(x.min(0.0)) + ULP,
        Activation::Silu => x.abs() * sigmoid_error(x) + rounding,
        Activation::Gelu => x.abs() * normal_cdf_error(x) + rounding,
        Activation::Tanh => TANH,
        Activation::Sigmoid => sigmoid_error(x),
        Activation::Softplus => softplus_error(x),
        Activation::Gated => panic!("a gated unit is a function of two values"),
    }
}

/// Of an activation's derivative, absolute.
pub fn activation_derivative(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => 0.0,
        Activation::LeakyRelu => ULP,
        Activation::Elu => x.min(0.0).exp() * exp(x.min(0.0)),
        Activation::Silu => {
            let (s, complement) = (sigmoid(x), sigmoid(-x));
            let bracket_error = x.abs() * (sigmoid_error(x) + 3.0 * ULP * complement) + ULP;
            sigmoid_error(x) * (1.0 + x * complement).abs() + s * bracket_error + 2.0 * ULP
        }
        Activation::Gelu => {
            let square = 0.5 * x * x;
            let density_error = normal_density(x) * (exp(square) + 2.0 * square * ULP + 3.0 * ULP);
            normal_cdf_error(x) + x.abs() * density_error + 2.0 * ULP
        }
        Activation::Tanh => 2.0 * TANH + 2.0 * ULP,
        Activation::Sigmoid => sigmoid_error(x) + ULP * sigmoid(x),
        Activation::Softplus => sigmoid_error(x),
        Activation::Gated => panic!("a gated unit is a function of two values"),
    }
}
