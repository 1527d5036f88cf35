//! The reference of `shaders/nn/activation.wgsl` and of the functions in its header.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use super::Matrix;
use crate::nn::Activation;

/// The slope of the leaky ReLU where `x` is negative, as PyTorch has it.
const LEAKY_SLOPE: f64 = 0.01;

/// `1 / (1 + exp(-x))`
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `log(1 + exp(x))`
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The standard normal's cumulative distribution, from the error function.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The standard normal's density.
pub fn normal_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / TAU.sqrt()
}

/// `activation(x)` of those that are functions of one value.
pub fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu => x.max(LEAKY_SLOPE * x),
        Activation::Elu if x < 0.0 => x.exp_m1(),
        Activation::Elu => x,
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => x * normal_cdf(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Softplus => softplus(x),
        Activation::Gated => panic!("a gated unit is a function of two values"),
    }
}

/// `activation'(x)`; at a kink, the derivative from below.
pub fn derivative(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => f64::from(x > 0.0),
        Activation::LeakyRelu if x > 0.0 => 1.0,
        Activation::LeakyRelu => LEAKY_SLOPE,
        Activation::Elu => x.min(0.0).exp(),
        Activation::Silu => sigmoid(x) * (1.0 + x * sigmoid(-x)),
        Activation::Gelu => normal_cdf(x) + x * normal_density(x),
        Activation::Tanh => 1.0 - x.tanh().powi(2),
        Activation::Sigmoid => sigmoid(x) * sigmoid(-x),
        Activation::Softplus => sigmoid(x),
        Activation::Gated => panic!("a gated unit is a function of two values"),
    }
}

/// `output[b, j] = pre[b, 2j] * sigmoid(pre[b, 2j + 1])`
pub fn gate(pre: &Matrix) -> Matrix {
    Matrix::from_fn(pre.rows(), pre.columns() / 2, |b, j| pre.at(b, 2 * j) * sigmoid(pre.at(b, 2 * j + 1)))
}

/// The derivatives of a gated unit by its value, `sigmoid(g)`, and by its gate, `h * sigmoid(g) * sigmoid(-g)`.
pub fn gate_slopes(pre: &Matrix) -> Matrix {
    Matrix::from_fn(pre.rows(), pre.columns(), |b, c| match c % 2 {
        0 => sigmoid(pre.at(b, c + 1)),
        _ => pre.at(b, c - 1) * sigmoid(pre.at(b, c)) * sigmoid(-pre.at(b, c)),
    })
}

/// `dpre[b, c] = doutput[b, c / 2] * slopes[b, c]`
pub fn gate_backward(slopes: &Matrix, doutput: &Matrix) -> Matrix {
    Matrix::from_fn(slopes.rows(), slopes.columns(), |b, c| doutput.at(b, c / 2) * slopes.at(b, c))
}
