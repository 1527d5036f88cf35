//! The checks of `shaders/nn/activation.wgsl`, for each activation.

use clap::ValueEnum;

use crate::Error;
use crate::nn::Activation;
use crate::selftest::bench::{Bench, Operand, Output};
use crate::selftest::{reference::activation as reference, tolerance};

/// Values before the activation: about zero for the most part, far out in every third row.
fn pre(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, row| [6.0, 100.0, 1e4][row % 3] * draw)
}

pub fn forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    for &activation in Activation::value_variants() {
        let pre = pre(bench)?;
        let output = bench.output(bench.sizes.columns)?;
        let dispatch = activation.forward(bench.gpu, &bench.step_tensor, &pre.tensor, &output)?;
        let values = pre.values.map(|x| reference::activate(activation, x));
        let errors = pre.values.map(|x| tolerance::activation(activation, x));
        let output = Output::matrix("output", &output, &values, &errors);
        bench.check_variant(&format!("{activation:?}"), dispatch, [output])?;
    }
    Ok(())
}

pub fn backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    for &activation in Activation::value_variants() {
        let pre = pre(bench)?;
        let gradient = bench.in_place(bench.sizes.columns, |draw, _| 3.0 * draw)?;
        let dispatch = activation.backward(bench.gpu, &bench.step_tensor, &pre.tensor, &gradient.tensor)?;
        let values = gradient.values.zip(&pre.values, |g, x| g * reference::derivative(activation, x));
        let errors = gradient.values.zip(&pre.values, |g, x| {
            let derivative = reference::derivative(activation, x);
            g.abs() * (tolerance::activation_derivative(activation, x) + tolerance::ULP * derivative.abs())
        });
        let output = Output::matrix("gradient", &gradient.tensor, &values, &errors);
        bench.check_variant(&format!("{activation:?}"), dispatch, [output])?;
    }
    Ok(())
}
