//! The checks of the epilogues in `shaders/nn/activation.wgsl` and below it, for each activation.

use clap::ValueEnum;

use super::dense::{backward_epilogue, forward_epilogue};
use crate::Error;
use crate::nn::Activation;
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Output};
use crate::selftest::reference::{Matrix, activation as reference};
use crate::selftest::tolerance::{self, ULP};

/// Values before the activation: about zero for the most part, far out in every third row.
pub fn forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    // Each is a kernel to compile, and all index alike: of wide ones, the one whose padding would not be zero by itself.
    let all = Activation::value_variants().iter().copied();
    let wide = |activation: &Activation| columns <= 64 || *activation == Activation::Softplus;
    for activation in all.filter(|activation| activation.inputs() == 1).filter(wide) {
        let pre = bench.input(columns, |draw, row| [6.0, 100.0, 1e4][row % 3] * draw)?;
        let (output, slope) = (bench.output(columns)?, bench.output(columns)?);
        let epilogue = activation.forward(bench.gpu, &output, &slope)?;
        let dispatch = forward_epilogue(bench, &pre, &epilogue)?;
        let values = pre.values.map(|x| reference::activate(activation, x));
        let errors = pre.values.map(|x| tolerance::activation(activation, x));
        let slopes = pre.values.map(|x| reference::derivative(activation, x));
        let slope_errors = pre.values.map(|x| tolerance::activation_derivative(activation, x));
        let outputs = [
            Output::matrix("output", &output, &values, &errors),
            Output::matrix("slope", &slope, &slopes, &slope_errors),
        ];
        bench.check_variant(&format!("{activation:?}"), dispatch, outputs)?;
    }
    Ok(())
}

pub fn backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    let (value, slope) = (bench.input(columns, |draw, _| 3.0 * draw)?, bench.input(columns, |draw, _| draw)?);
    let gradient = bench.output(columns)?;
    let epilogue = Activation::default().backward(&slope.tensor, &gradient)?;
    let dispatch = backward_epilogue(bench, &value, &value, &epilogue)?;
    let values = value.values.zip(&slope.values, |value, slope| value * slope);
    let errors = values.map(|value| ULP * value.abs());
    bench.check(dispatch, [Output::matrix("gradient", &gradient, &values, &errors)])
}

pub fn gated(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    let pre = bench.input(2 * columns, |draw, row| [6.0, 100.0, 1e4][row % 3] * draw)?;
    let (output, slope) = (bench.output(columns)?, bench.output(2 * columns)?);
    let epilogue = Activation::Gated.forward(bench.gpu, &output, &slope)?;
    let dispatch = forward_epilogue(bench, &pre, &epilogue)?;
    let pre = &pre.values;
    let values = reference::gate(pre);
    let errors = Matrix::from_fn(values.rows(), columns, |b, j| {
        let (h, g) = (pre.at(b, 2 * j).abs(), pre.at(b, 2 * j + 1));
        h * tolerance::sigmoid_error(g) + ULP * values.at(b, j).abs()
    });
    let slopes = reference::gate_slopes(pre);
    let slope_errors = Matrix::from_fn(values.rows(), 2 * columns, |b, c| match c % 2 {
        0 => tolerance::sigmoid_error(pre.at(b, c + 1)),
        _ => {
            let derivative_error = tolerance::activation_derivative(Activation::Sigmoid, pre.at(b, c));
            pre.at(b, c - 1).abs() * derivative_error + ULP * slopes.at(b, c).abs()
        }
    });
    let outputs =
        [Output::matrix("output", &output, &values, &errors), Output::matrix("slope", &slope, &slopes, &slope_errors)];
    bench.check(dispatch, outputs)
}

pub fn gated_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, .. } = bench.sizes;
    let (value, slope) = (bench.input(columns, |draw, _| 3.0 * draw)?, bench.input(2 * columns, |draw, _| draw)?);
    let gradient = bench.output(2 * columns)?;
    let epilogue = Activation::Gated.backward(&slope.tensor, &gradient)?;
    let dispatch = backward_epilogue(bench, &value, &value, &epilogue)?;
    let values = reference::gate_backward(&slope.values, &value.values);
    let errors = values.map(|value| ULP * value.abs());
    bench.check(dispatch, [Output::matrix("gradient", &gradient, &values, &errors)])
}
