//! The checks of `shaders/nn/dense/`, and the layer through which epilogues are checked.
//!
//! The sum of the magnitudes, on which the error depends, is the same formula over the magnitudes of its inputs.

use crate::Error;
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::nn::{self, Dense, Epilogue, Mode, Recording};
use crate::selftest::bench::{Bench, Operand, Output, poisoned};
use crate::selftest::reference::{Matrix, dense as reference};
use crate::selftest::{Sizes, tolerance};

/// A layer of some sizes with an arena for its parameters or their gradients.
fn layer(bench: &Bench<'_>, inputs: usize, outputs: usize) -> Result<(Dense, Arena), Error> {
    let layer = Dense::new("layer", inputs, outputs);
    let arena = nn::arena(bench.gpu, &layer.parameters())?;
    Ok((layer, arena))
}

fn recording<'a>(bench: &'a Bench<'_>, parameters: &'a Arena) -> Recording<'a> {
    Recording {
        gpu: bench.gpu,
        step: &bench.step_tensor,
        parameters,
        samples: bench.samples,
        mode: Mode::Training,
        accumulate: false,
    }
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
    let (layer, parameters) = layer(bench, inputs, outputs)?;
    let weight = parameter(bench, &parameters.get("layer.weight"))?;
    let bias = parameter(bench, &parameters.get("layer.bias"))?;
    let input = bench.input(inputs, |draw, _| 3.0 * draw)?;
    let output = bench.output(outputs)?;
    let store = Epilogue::store(&output);
    let dispatch = layer.forward(recording(bench, &parameters), &input.tensor, &store)?;
    let values = reference::forward(&input.values, &weight, &bias);
    let magnitudes = reference::forward(&input.values.abs(), &weight.abs(), &bias.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(inputs + 1, magnitude));
    bench.check(dispatch, [Output::matrix("output", &output, &values, &errors)])
}

pub fn backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: inputs, outputs, .. } = bench.sizes;
    let (layer, parameters) = layer(bench, inputs, outputs)?;
    let weight = parameter(bench, &parameters.get("layer.weight"))?;
    let (input, doutput) = (bench.input(inputs, |draw, _| 3.0 * draw)?, bench.input(outputs, |draw, _| draw)?);
    let dinput = bench.output(inputs)?;
    let store = Epilogue::store(&dinput);
    let (gradients, [dweight, dbias]) = parameter_gradients(bench, &layer, &input, &doutput, false)?;
    let (x, d) = (&input.tensor, &doutput.tensor);
    let dispatch = layer.backward(recording(bench, &parameters), &gradients, x, d, Some(&store))?;
    let values = reference::backward_input(&doutput.values, &weight);
    let magnitudes = reference::backward_input(&doutput.values.abs(), &weight.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(outputs, magnitude));
    bench.check(dispatch, [dweight, dbias, Output::matrix("dinput", &dinput, &values, &errors)])
}

pub fn backward_weight(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: inputs, outputs, .. } = bench.sizes;
    let (layer, parameters) = layer(bench, inputs, outputs)?;
    let (input, doutput) = (bench.input(inputs, |draw, _| 3.0 * draw)?, bench.input(outputs, |draw, _| draw)?);
    for accumulate in [false, true] {
        let (gradients, wanted) = parameter_gradients(bench, &layer, &input, &doutput, accumulate)?;
        let (x, d) = (&input.tensor, &doutput.tensor);
        let recording = Recording { accumulate, ..recording(bench, &parameters) };
        let dispatch = layer.backward(recording, &gradients, x, d, None)?;
        bench.check_variant(if accumulate { "added" } else { "" }, dispatch, wanted)?;
    }
    Ok(())
}

/// An arena for the gradients of a layer's parameters, and what they must be: by themselves, or added to what is there.
fn parameter_gradients(
    bench: &mut Bench<'_>,
    layer: &Dense,
    input: &Operand,
    doutput: &Operand,
    accumulate: bool,
) -> Result<(Arena, [Output; 2]), Error> {
    let gradients = nn::arena(bench.gpu, &layer.parameters())?;
    let dweight = poisoned(bench.gpu, gradients.get("layer.weight"))?;
    let dbias = poisoned(bench.gpu, gradients.get("layer.bias"))?;
    let (weight_values, bias_values) = reference::backward_weight(&input.values, &doutput.values);
    let (weight_magnitudes, bias_magnitudes) = reference::backward_weight(&input.values.abs(), &doutput.values.abs());
    let rows = bench.sizes.rows;
    let mut wanted = |name, tensor: &Tensor, values: Matrix, magnitudes: Matrix| -> Result<Output, Error> {
        let (mut values, mut magnitudes) = (values, magnitudes);
        if accumulate {
            // The padding is zero, as a gradient's is.
            tensor.write_padded(bench.gpu, &vec![0.0; tensor.padded_len()])?;
            let before = parameter(bench, tensor)?;
            values = values.zip(&before, |value, before| value + before);
            magnitudes = magnitudes.zip(&before, |magnitude, before| magnitude + before.abs());
        }
        let errors = magnitudes.map(|magnitude| tolerance::sum(rows + usize::from(accumulate), magnitude));
        Ok(Output::matrix(name, tensor, &values, &errors))
    };
    let dweight = wanted("dweight", &dweight, weight_values, weight_magnitudes)?;
    let dbias = wanted("dbias", &dbias, bias_values, bias_magnitudes)?;
    Ok((gradients, [dweight, dbias]))
}

/// A product that hands `value` to an epilogue as it is: the weight is the identity, the bias zero.
pub fn forward_epilogue(bench: &Bench<'_>, value: &Operand, epilogue: &Epilogue) -> Result<Dispatch, Error> {
    let (layer, parameters) = identity(bench, value)?;
    layer.forward(recording(bench, &parameters), &value.tensor, epilogue)
}

/// The same for an epilogue of the product that makes the gradient of a layer's `input`.
pub fn backward_epilogue(
    bench: &Bench<'_>,
    input: &Operand,
    value: &Operand,
    epilogue: &Epilogue,
) -> Result<Dispatch, Error> {
    let (layer, parameters) = identity(bench, value)?;
    let gradients = nn::arena(bench.gpu, &layer.parameters())?;
    layer.backward(recording(bench, &parameters), &gradients, &input.tensor, &value.tensor, Some(epilogue))
}

fn identity(bench: &Bench<'_>, value: &Operand) -> Result<(Dense, Arena), Error> {
    let size = value.tensor.columns();
    let (layer, parameters) = layer(bench, size, size)?;
    let weight: Vec<f32> = (0..size * size).map(|i| if i / size == i % size { 1.0 } else { 0.0 }).collect();
    parameters.get("layer.weight").write(bench.gpu, &weight)?;
    Ok((layer, parameters))
}
