//! The self-test of `shaders/nn/activation.wgsl`, of the files below it, and of the functions in their header.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use clap::ValueEnum;

use super::epilogue;
use crate::Error;
use crate::nn::Activation;
use crate::selftest::bench::{Bench, Operand, Output};
use crate::selftest::nan::Nan;
use crate::selftest::tolerance::{self, DIVISION, ULP};
use crate::selftest::{Checks, Matrix, Sizes};

pub(super) const CHECKS: Checks = &[
    ("nn/activation.wgsl", check_forward),
    ("nn/activation/backward.wgsl", check_backward),
    ("nn/activation/gated.wgsl", check_gated),
    ("nn/activation/gated/backward.wgsl", check_gated_backward),
    ("NaN, nn/activation.wgsl", check_nan),
];

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

/// `activation(x)` of the activations that are functions of one value.
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

/// `activated[b, j] = pre[b, 2j] * sigmoid(pre[b, 2j + 1])`
pub fn gate(pre: &Matrix) -> Matrix {
    Matrix::from_fn(pre.rows(), pre.columns() / 2, |b, j| pre.at(b, 2 * j) * sigmoid(pre.at(b, 2 * j + 1)))
}

/// The derivatives of a gated unit with respect to its value, `sigmoid(g)`, and to its gate, `h * sigmoid(g) * sigmoid(-g)`.
pub fn gate_slopes(pre: &Matrix) -> Matrix {
    Matrix::from_fn(pre.rows(), pre.columns(), |b, c| match c % 2 {
        0 => sigmoid(pre.at(b, c + 1)),
        _ => pre.at(b, c - 1) * sigmoid(pre.at(b, c)) * sigmoid(-pre.at(b, c)),
    })
}

/// `dpre[b, c] = dactivated[b, c / 2] * slopes[b, c]`
pub fn gate_backward(slopes: &Matrix, dactivated: &Matrix) -> Matrix {
    Matrix::from_fn(slopes.rows(), slopes.columns(), |b, c| dactivated.at(b, c / 2) * slopes.at(b, c))
}

/// The absolute error of a hyperbolic tangent.
pub(in crate::selftest) const TANH: f64 = 1e-5;

/// The absolute error of the sigmoid as the shaders compute it: through `e = exp(-|x|)`, a sum and a quotient.
pub(in crate::selftest) fn sigmoid_error(x: f64) -> f64 {
    sigmoid(x) * (sigmoid(-x) * tolerance::exp(x) + ULP + DIVISION)
}

/// The absolute error of `log(1 + exp(x))` as the shaders compute it: `e = exp(-|x|)` is off, then `1 + e`, then its logarithm,
/// then the sum with `max(x, 0)`.
pub(in crate::selftest) fn softplus_error(x: f64) -> f64 {
    sigmoid(-x.abs()) * tolerance::exp(x) + ULP + tolerance::LOG + ULP * (x.max(0.0) + 1.0)
}

/// The absolute error of the normal distribution function as the shaders compute it.
///
/// Abramowitz & Stegun 7.1.26 is 1.5e-7 off for the error function. The rest is rounding: the quotient `t <= 1` is eight
/// units off, which the polynomial's slope makes 28; the polynomial's coefficients, whose magnitudes sum to 4.5, go
/// through five steps of two roundings, which is 45; and the exponential's argument is five units off.
fn normal_cdf_error(x: f64) -> f64 {
    let square = 0.5 * x * x;
    let polynomial_error = 73.0 * ULP * (-square).exp();
    let tail_error = normal_cdf(-x.abs()) * (tolerance::exp(square) + 5.0 * square * ULP);
    0.5 * (1.5e-7 + polynomial_error) + tail_error + ULP
}

/// The absolute error of an activation.
fn activation_error(activation: Activation, x: f64) -> f64 {
    let rounding = ULP * x.abs();
    match activation {
        Activation::Relu => 0.0,
        // The slope, 0.01, is rounded too.
        Activation::LeakyRelu => 2.0 * rounding,
        Activation::Elu => x.min(0.0).exp() * tolerance::exp(x.min(0.0)) + ULP,
        Activation::Silu => x.abs() * sigmoid_error(x) + rounding,
        Activation::Gelu => x.abs() * normal_cdf_error(x) + rounding,
        Activation::Tanh => TANH,
        Activation::Sigmoid => sigmoid_error(x),
        Activation::Softplus => softplus_error(x),
        Activation::Gated => panic!("a gated unit is a function of two values"),
    }
}

/// The absolute error of an activation's derivative.
fn derivative_error(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => 0.0,
        Activation::LeakyRelu => ULP,
        Activation::Elu => x.min(0.0).exp() * tolerance::exp(x.min(0.0)),
        Activation::Silu => {
            let (s, complement) = (sigmoid(x), sigmoid(-x));
            let bracket_error = x.abs() * (sigmoid_error(x) + 3.0 * ULP * complement) + ULP;
            sigmoid_error(x) * (1.0 + x * complement).abs() + s * bracket_error + 2.0 * ULP
        }
        Activation::Gelu => {
            let square = 0.5 * x * x;
            let density_error = normal_density(x) * (tolerance::exp(square) + 2.0 * square * ULP + 3.0 * ULP);
            normal_cdf_error(x) + x.abs() * density_error + 2.0 * ULP
        }
        Activation::Tanh => 2.0 * TANH + 2.0 * ULP,
        Activation::Sigmoid => sigmoid_error(x) + ULP * sigmoid(x),
        Activation::Softplus => sigmoid_error(x),
        Activation::Gated => panic!("a gated unit is a function of two values"),
    }
}

/// Runs the activation, which keeps its derivatives for a backward pass, and again without a place for them.
fn check_variants(
    bench: &mut Bench<'_>,
    activation: Activation,
    pre: &Operand,
    [values, errors]: [&Matrix; 2],
    [slopes, slope_errors]: [&Matrix; 2],
) -> Result<(), Error> {
    let (activated, slope) = (bench.output(values.columns())?, bench.output(slopes.columns())?);
    let part = activation.forward(bench.gpu, &activated, Some(&slope))?;
    let dispatches = epilogue::forward(bench, pre, &part)?;
    let outputs = [
        Output::matrix("activated", &activated, values, errors),
        Output::matrix("slope", &slope, slopes, slope_errors),
    ];
    bench.check_variant(&format!("{activation:?}"), dispatches, outputs)?;
    let activated = bench.output(values.columns())?;
    let part = activation.forward(bench.gpu, &activated, None)?;
    let dispatches = epilogue::forward(bench, pre, &part)?;
    let outputs = [Output::matrix("activated", &activated, values, errors)];
    bench.check_variant(&format!("{activation:?}, no slope"), dispatches, outputs)
}

/// Values before the activation: about zero for the most part, far out in every third row.
fn check_forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    // Each activation is a kernel to compile, and all index in the same way. So wide layers only have the activation
    // whose padding would not be zero by itself.
    let all = Activation::value_variants().iter().copied();
    let wide = |activation: &Activation| columns <= 64 || *activation == Activation::Softplus;
    for activation in all.filter(|activation| activation.inputs() == 1).filter(wide) {
        let pre = bench.input(columns, |draw, row| [6.0, 100.0, 1e4][row % 3] * draw)?;
        let values = pre.values.map(|x| activate(activation, x));
        let errors = pre.values.map(|x| activation_error(activation, x));
        let slopes = pre.values.map(|x| derivative(activation, x));
        let slope_errors = pre.values.map(|x| derivative_error(activation, x));
        check_variants(bench, activation, &pre, [&values, &errors], [&slopes, &slope_errors])?;
    }
    Ok(())
}

fn check_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    let (value, slope) = (bench.input(columns, |draw, _| 3.0 * draw)?, bench.input(columns, |draw, _| draw)?);
    let gradient = bench.output(columns)?;
    let part = Activation::default().backward(&slope.tensor, &gradient)?;
    let dispatches = epilogue::backward(bench, &value, &value, &part)?;
    let values = value.values.zip(&slope.values, |value, slope| value * slope);
    let errors = values.map(|value| ULP * value.abs());
    bench.check(dispatches, [Output::matrix("gradient", &gradient, &values, &errors)])
}

fn check_gated(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    let given = bench.input(2 * columns, |draw, row| [6.0, 100.0, 1e4][row % 3] * draw)?;
    let pre = &given.values;
    let values = gate(pre);
    let errors = Matrix::from_fn(values.rows(), columns, |b, j| {
        let (h, g) = (pre.at(b, 2 * j).abs(), pre.at(b, 2 * j + 1));
        h * sigmoid_error(g) + ULP * values.at(b, j).abs()
    });
    let slopes = gate_slopes(pre);
    let slope_errors = Matrix::from_fn(values.rows(), 2 * columns, |b, c| match c % 2 {
        0 => sigmoid_error(pre.at(b, c + 1)),
        _ => {
            let derivative_error = derivative_error(Activation::Sigmoid, pre.at(b, c));
            pre.at(b, c - 1).abs() * derivative_error + ULP * slopes.at(b, c).abs()
        }
    });
    check_variants(bench, Activation::Gated, &given, [&values, &errors], [&slopes, &slope_errors])
}

fn check_gated_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    let (value, slope) = (bench.input(columns, |draw, _| 3.0 * draw)?, bench.input(2 * columns, |draw, _| draw)?);
    let gradient = bench.output(2 * columns)?;
    let part = Activation::Gated.backward(&slope.tensor, &gradient)?;
    let dispatches = epilogue::backward(bench, &value, &value, &part)?;
    let values = gate_backward(&slope.values, &value.values);
    let errors = values.map(|value| ULP * value.abs());
    bench.check(dispatches, [Output::matrix("gradient", &gradient, &values, &errors)])
}

fn check_nan(bench: &mut Bench<'_>) -> Result<(), Error> {
    let columns = bench.sizes.columns;
    for activation in Activation::value_variants() {
        let each = activation.inputs();
        // The product before an epilogue spreads a NaN over its whole row: zero times NaN is NaN.
        let input = &bench.input(each * columns, |draw, _| 6.0 * draw)?;
        let (output, slope) = (&bench.output(columns)?, bench.output(each * columns)?);
        let part = activation.forward(bench.gpu, output, Some(&slope))?;
        let dispatches = epilogue::forward(bench, input, &part)?;
        let nan = Nan { input, column: columns / 2, name: "activated", output, reaches: &|_| true };
        nan.check(bench, &format!("{activation:?}"), dispatches)?;
    }
    Ok(())
}
