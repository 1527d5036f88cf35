//! The checks of `shaders/nn/dense.wgsl`.
//!
//! The sum of the magnitudes, on which the error depends, is the same formula over the magnitudes of its inputs.

use crate::Error;
use crate::gpu::{Arena, Tensor};
use crate::nn::{self, Dense};
use crate::selftest::bench::{Bench, Output, poisoned};
use crate::selftest::reference::{Matrix, dense as reference};
use crate::selftest::{Sizes, tolerance};

/// A layer of the bench's sizes with an arena for its parameters or their gradients.
fn layer(bench: &Bench<'_>) -> Result<(Dense, Arena), Error> {
    let layer = Dense::new("layer", bench.sizes.columns, bench.sizes.outputs);
    let arena = nn::arena(bench.gpu, &layer.parameters())?;
    Ok((layer, arena))
}

/// Draws a parameter.
fn parameter(bench: &mut Bench<'_>, tensor: &Tensor) -> Result<Matrix, Error> {
    let values: Vec<f32> = (0..tensor.rows() * tensor.columns()).map(|_| bench.draw()).collect();
    tensor.write(bench.gpu, &values)?;
    let columns = tensor.columns();
    Ok(Matrix::from_fn(tensor.rows(), columns, |row, column| f64::from(values[row * columns + column])))
}

pub fn forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: inputs, outputs, .. } = bench.sizes;
    let (layer, parameters) = layer(bench)?;
    let weight = parameter(bench, &parameters.get("layer.weight"))?;
    let bias = parameter(bench, &parameters.get("layer.bias"))?;
    let input = bench.input(inputs, |draw, _| 3.0 * draw)?;
    let output = bench.output(outputs)?;
    let dispatch = layer.forward(bench.gpu, &bench.step_tensor, &parameters, &input.tensor, &output)?;
    let values = reference::forward(&input.values, &weight, &bias);
    let magnitudes = reference::forward(&input.values.abs(), &weight.abs(), &bias.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(inputs + 1, magnitude));
    bench.check(dispatch, [Output::matrix("output", &output, &values, &errors)])
}

pub fn backward_input(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: inputs, outputs, .. } = bench.sizes;
    let (layer, parameters) = layer(bench)?;
    let weight = parameter(bench, &parameters.get("layer.weight"))?;
    let doutput = bench.input(outputs, |draw, _| 3.0 * draw)?;
    let dinput = bench.output(inputs)?;
    let dispatch = layer.backward_input(bench.gpu, &bench.step_tensor, &parameters, &doutput.tensor, &dinput)?;
    let values = reference::backward_input(&doutput.values, &weight);
    let magnitudes = reference::backward_input(&doutput.values.abs(), &weight.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(outputs, magnitude));
    bench.check(dispatch, [Output::matrix("dinput", &dinput, &values, &errors)])
}

pub fn backward_weight(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: inputs, outputs, .. } = bench.sizes;
    let (layer, gradients) = layer(bench)?;
    let input = bench.input(inputs, |draw, _| 3.0 * draw)?;
    let doutput = bench.input(outputs, |draw, _| draw)?;
    let dweight = poisoned(bench.gpu, gradients.get("layer.weight"))?;
    let dbias = poisoned(bench.gpu, gradients.get("layer.bias"))?;
    let dispatch = layer.backward_weight(bench.gpu, &bench.step_tensor, &gradients, &input.tensor, &doutput.tensor)?;
    let (weight_values, bias_values) = reference::backward_weight(&input.values, &doutput.values);
    let (weight_magnitudes, bias_magnitudes) = reference::backward_weight(&input.values.abs(), &doutput.values.abs());
    let error = |magnitude| tolerance::sum(rows, magnitude);
    let outputs = [
        Output::matrix("dweight", &dweight, &weight_values, &weight_magnitudes.map(error)),
        Output::matrix("dbias", &dbias, &bias_values, &bias_magnitudes.map(error)),
    ];
    bench.check(dispatch, outputs)
}
