//! The self-test of `shaders/nn/dense/`.
//!
//! The error depends on the sum of the magnitudes of the products: the same formula with the magnitudes of its inputs.

use crate::Error;
use crate::gpu::{Arena, Tensor};
use crate::nn::{self, Dense, Epilogue, Layer, Recording, WeightGradient, weight_gradients};
use crate::selftest::bench::{Bench, Operand, Output, poisoned};
use crate::selftest::{Checks, Matrix, Sizes, tolerance};

pub(super) const CHECKS: Checks = &[
    ("nn/dense:forward", check_forward),
    ("nn/dense:backward", check_backward),
    ("nn/dense:backward_weight", check_backward_weight),
    ("nn/dense/workgroup/weights.wgsl:backward", check_weights),
];

/// `output[b, o] = bias[o] + sum_i input[b, i] * weight[o, i]`
pub fn forward(input: &Matrix, weight: &Matrix, bias: &Matrix) -> Matrix {
    Matrix::from_fn(input.rows(), weight.rows(), |b, o| {
        let products = input.row(b).iter().zip(weight.row(o)).map(|(x, w)| x * w);
        bias.at(0, o) + products.sum::<f64>()
    })
}

/// `dinput[b, i] = sum_o doutput[b, o] * weight[o, i]`
pub fn backward_input(doutput: &Matrix, weight: &Matrix) -> Matrix {
    Matrix::from_fn(doutput.rows(), weight.columns(), |b, i| {
        doutput.row(b).iter().enumerate().map(|(o, d)| d * weight.at(o, i)).sum()
    })
}

/// `dweight[o, i] = sum_b doutput[b, o] * input[b, i]`, `dbias[o] = sum_b doutput[b, o]`
pub fn backward_weight(input: &Matrix, doutput: &Matrix) -> (Matrix, Matrix) {
    let rows = input.rows();
    let dweight = Matrix::from_fn(doutput.columns(), input.columns(), |o, i| {
        (0..rows).map(|b| doutput.at(b, o) * input.at(b, i)).sum()
    });
    let dbias = Matrix::from_fn(1, doutput.columns(), |_, o| (0..rows).map(|b| doutput.at(b, o)).sum());
    (dweight, dbias)
}

/// A layer of the given sizes with an arena for its parameters or their gradients.
pub(super) fn layer(bench: &Bench<'_>, inputs: usize, outputs: usize) -> Result<(Dense, Arena), Error> {
    let layer = Dense::new("layer", inputs, outputs);
    let arena = nn::arena(bench.gpu, &layer.parameters())?;
    Ok((layer, arena))
}

/// Draws a parameter.
pub(in crate::selftest) fn parameter(bench: &mut Bench<'_>, tensor: &Tensor) -> Result<Matrix, Error> {
    let values: Vec<f32> = (0..tensor.rows() * tensor.columns()).map(|_| bench.draw()).collect();
    tensor.write(bench.gpu, &values)?;
    let columns = tensor.columns();
    Ok(Matrix::from_fn(tensor.rows(), columns, |row, column| f64::from(values[row * columns + column])))
}

fn check_forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: inputs, outputs, .. } = bench.sizes;
    let (layer, parameters) = layer(bench, inputs, outputs)?;
    let weight = parameter(bench, &parameters.get("layer.weight"))?;
    let bias = parameter(bench, &parameters.get("layer.bias"))?;
    let input = bench.input(inputs, |draw, _| 3.0 * draw)?;
    let output = bench.output(outputs)?;
    let store = Epilogue::store(&output);
    let dispatches = layer.forward(bench.recording(&parameters), &input.tensor, &store)?;
    let values = forward(&input.values, &weight, &bias);
    let magnitudes = forward(&input.values.abs(), &weight.abs(), &bias.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(inputs + 1, magnitude));
    bench.check(dispatches, [Output::matrix("output", &output, &values, &errors)])
}

fn check_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: inputs, outputs, .. } = bench.sizes;
    let (layer, parameters) = layer(bench, inputs, outputs)?;
    let weight = parameter(bench, &parameters.get("layer.weight"))?;
    let (input, doutput) = (bench.input(inputs, |draw, _| 3.0 * draw)?, bench.input(outputs, |draw, _| draw)?);
    let dinput = bench.output(inputs)?;
    let store = Epilogue::store(&dinput);
    let (gradients, [dweight, dbias]) = parameter_gradients(bench, &layer, &input, &doutput, false)?;
    let (x, d) = (&input.tensor, &doutput.tensor);
    let dispatches = layer.backward(bench.recording(&parameters), &gradients, x, d, Some(&store))?;
    let values = backward_input(&doutput.values, &weight);
    let magnitudes = backward_input(&doutput.values.abs(), &weight.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(outputs, magnitude));
    bench.check(dispatches, [dweight, dbias, Output::matrix("dinput", &dinput, &values, &errors)])
}

fn check_backward_weight(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: inputs, outputs, .. } = bench.sizes;
    let (layer, parameters) = layer(bench, inputs, outputs)?;
    let (input, doutput) = (bench.input(inputs, |draw, _| 3.0 * draw)?, bench.input(outputs, |draw, _| draw)?);
    for accumulate in [false, true] {
        let (gradients, wanted) = parameter_gradients(bench, &layer, &input, &doutput, accumulate)?;
        let (x, d) = (&input.tensor, &doutput.tensor);
        let recording = Recording { accumulate, ..bench.recording(&parameters) };
        let dispatches = layer.backward(recording, &gradients, x, d, None)?;
        bench.check_variant(if accumulate { "added" } else { "" }, dispatches, wanted)?;
    }
    Ok(())
}

/// Two layers, and three.
fn check_weights(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns, outputs, .. } = bench.sizes;
    for count in [2, 3] {
        let sizes = [(columns, outputs), (outputs, columns), (3, outputs + 1)];
        let layers: Vec<_> = sizes[..count]
            .iter()
            .enumerate()
            .map(|(index, (inputs, outputs))| Dense::new(format!("layer{index}"), *inputs, *outputs))
            .collect();
        let specs: Vec<_> = layers.iter().flat_map(Layer::parameters).collect();
        let (parameters, gradients) = (nn::arena(bench.gpu, &specs)?, nn::arena(bench.gpu, &specs)?);
        let (mut operands, mut outputs) = (Vec::new(), Vec::new());
        for layer in &layers {
            let input = bench.input(layer.input().channels, |draw, _| 3.0 * draw)?;
            let doutput = bench.input(layer.output().channels, |draw, _| draw)?;
            let [dweight, dbias] = [layer.weight(), layer.bias()].map(|name| poisoned(bench.gpu, gradients.get(&name)));
            let [of_weight, of_bias] = expected(bench, &input, &doutput);
            outputs.push(Output::matrix("dweight", &dweight?, &of_weight[0], &of_weight[1]));
            outputs.push(Output::matrix("dbias", &dbias?, &of_bias[0], &of_bias[1]));
            operands.push((input, doutput));
        }
        let gradient = |index: usize| {
            let (layer, (input, doutput)) = (layers.get(index)?, operands.get(index)?);
            Some(WeightGradient { layer, input: &input.tensor, doutput: &doutput.tensor })
        };
        let all = [gradient(0), gradient(1), gradient(2)];
        let dispatch = weight_gradients(bench.recording(&parameters), &gradients, all)?;
        bench.check_variant(&format!("{count} layers"), dispatch, outputs)?;
    }
    Ok(())
}

/// The gradients of the weight and of the bias, each with its error.
fn expected(bench: &Bench<'_>, input: &Operand, doutput: &Operand) -> [[Matrix; 2]; 2] {
    let values = backward_weight(&input.values, &doutput.values);
    let magnitudes = backward_weight(&input.values.abs(), &doutput.values.abs());
    let error = |magnitude: f64| tolerance::sum(bench.sizes.rows, magnitude);
    [[values.0, magnitudes.0.map(error)], [values.1, magnitudes.1.map(error)]]
}

/// An arena for the gradients of a layer's parameters, and the expected values: stored, or added to the stored ones.
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
    let (weight_values, bias_values) = backward_weight(&input.values, &doutput.values);
    let (weight_magnitudes, bias_magnitudes) = backward_weight(&input.values.abs(), &doutput.values.abs());
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
