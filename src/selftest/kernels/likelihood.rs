//! The checks of `shaders/likelihood/`.

use crate::Error;
use crate::gpu::Tensor;
use crate::likelihood::{bernoulli, gaussian};
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Operand, Output, poisoned};
use crate::selftest::reference::{Matrix, activation, likelihood as reference};
use crate::selftest::tolerance::{self, DIVISION, ULP};

/// The logarithm of the Gaussian's variance.
const LOGVAR: f32 = -1.37;

/// Pixels: many 0 and 1, the others grey.
fn pixels(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, _| (1.5 * draw).clamp(0.0, 1.0))
}

/// Logits: about zero, or far out, or absurdly large, row by row.
fn logits(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, row| [6.0, 100.0, 1e4][row % 3] * draw)
}

/// What a decoder puts out as the Gaussian's mean.
fn mean(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, row| [1.0, 2.0, 1e4][row % 3] * draw)
}

fn logvar(bench: &Bench<'_>) -> Result<Tensor, Error> {
    Tensor::from_values(bench.gpu, 1, 1, &[LOGVAR])
}

/// `exp(-logvar)` and its relative error.
fn precision() -> (f64, f64) {
    let logvar = f64::from(LOGVAR);
    ((-logvar).exp(), tolerance::exp(logvar))
}

pub fn bernoulli_forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, logits) = (pixels(bench)?, logits(bench)?);
    let log_prob = bench.vector_output()?;
    let dispatch = bernoulli::log_prob(bench.gpu, &bench.step_tensor, &x.tensor, &logits.tensor, &log_prob)?;
    let values = reference::bernoulli::forward(&x.values, &logits.values);
    let errors = Matrix::from_fn(1, values.columns(), |_, b| {
        let terms = || x.values.row(b).iter().zip(logits.values.row(b));
        let magnitude = terms().map(|(x, l)| (x * l).abs() + activation::softplus(*l)).sum();
        let softplus_error: f64 = terms().map(|(_, l)| tolerance::softplus_error(*l)).sum();
        tolerance::sum(x.values.columns() + 1, magnitude) + softplus_error
    });
    bench.check(dispatch, [Output::vector("log_prob", &log_prob, &values, &errors)])
}

pub fn bernoulli_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, logits) = (pixels(bench)?, logits(bench)?);
    let dlogits = bench.output(bench.sizes.columns)?;
    let dispatch = bernoulli::backward(bench.gpu, &bench.step_tensor, &x.tensor, &logits.tensor, &dlogits)?;
    let values = reference::bernoulli::backward(&x.values, &logits.values);
    let rows = bench.sizes.rows as f64;
    let errors =
        values.zip(&logits.values, |value, l| tolerance::sigmoid_error(l) / rows + value.abs() * (DIVISION + ULP));
    bench.check(dispatch, [Output::matrix("dlogits", &dlogits, &values, &errors)])
}

pub fn bernoulli_decode_mean(bench: &mut Bench<'_>) -> Result<(), Error> {
    let logits = logits(bench)?;
    let mean = bench.output(bench.sizes.columns)?;
    let dispatch = bernoulli::mean(bench.gpu, &bench.step_tensor, &logits.tensor, &mean)?;
    let values = logits.values.map(activation::sigmoid);
    let errors = logits.values.map(tolerance::sigmoid_error);
    bench.check(dispatch, [Output::matrix("mean", &mean, &values, &errors)])
}

pub fn gaussian_forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, mean, logvar) = (pixels(bench)?, mean(bench)?, logvar(bench)?);
    let (log_prob, squared_error) = (bench.vector_output()?, bench.vector_output()?);
    let step = &bench.step_tensor;
    let dispatch = gaussian::log_prob(bench.gpu, step, &x.tensor, &mean.tensor, &logvar, &squared_error, &log_prob)?;
    let dimensions = x.values.columns();
    let squares = reference::gaussian::squared_error(&x.values, &mean.values);
    let values = reference::gaussian::forward(&x.values, &mean.values, f64::from(LOGVAR));
    // A difference that is squared: two units more than a product of exact numbers.
    let square_errors = squares.map(|square| tolerance::sum(dimensions + 2, square));
    let (precision, precision_error) = precision();
    let errors = squares.zip(&square_errors, |square, square_error| {
        let constant = dimensions as f64 * (std::f64::consts::TAU.ln() + f64::from(LOGVAR.abs()));
        let term = square * precision;
        0.5 * (4.0 * ULP * constant + precision * square_error + term * (precision_error + 3.0 * ULP))
    });
    let outputs = [
        Output::vector("log_prob", &log_prob, &values, &errors),
        Output::vector("squared_error", &squared_error, &squares, &square_errors),
    ];
    bench.check(dispatch, outputs)
}

pub fn gaussian_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, mean, logvar) = (pixels(bench)?, mean(bench)?, logvar(bench)?);
    let dmean = bench.output(bench.sizes.columns)?;
    let dispatch = gaussian::backward(bench.gpu, &bench.step_tensor, &x.tensor, &mean.tensor, &logvar, &dmean)?;
    let values = reference::gaussian::backward(&x.values, &mean.values, f64::from(LOGVAR));
    let (_, precision_error) = precision();
    let errors = values.map(|value| value.abs() * (precision_error + DIVISION + 2.0 * ULP));
    bench.check(dispatch, [Output::matrix("dmean", &dmean, &values, &errors)])
}

pub fn gaussian_backward_logvar(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: dimensions, .. } = bench.sizes;
    let logvar = logvar(bench)?;
    // About what makes the two parts of each term equal, so that they nearly cancel.
    let (precision, precision_error) = precision();
    let squared_error = bench.vector_input(|draw| dimensions as f32 / precision as f32 * (1.0 + draw))?;
    let dlogvar = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 1, 1)?)?;
    let step = &bench.step_tensor;
    let dispatch = gaussian::backward_logvar(bench.gpu, step, dimensions, &logvar, &squared_error.tensor, &dlogvar)?;
    let value = reference::gaussian::backward_logvar(&squared_error.values, dimensions, f64::from(LOGVAR));
    let total: f64 = squared_error.values.values().iter().sum::<f64>() * precision;
    let magnitude = (rows * dimensions) as f64 + total;
    let sum_error = tolerance::sum(rows + 1, magnitude) + total * precision_error;
    let error = 0.5 * sum_error / rows as f64 + value.abs() * (DIVISION + ULP);
    let [values, errors] = [value, error].map(|number| Matrix::vector(vec![number]));
    bench.check(dispatch, [Output::vector("dlogvar", &dlogvar, &values, &errors)])
}

pub fn gaussian_decode_mean(bench: &mut Bench<'_>) -> Result<(), Error> {
    let mean = mean(bench)?;
    let decoded = bench.output(bench.sizes.columns)?;
    let dispatch = gaussian::mean(bench.gpu, &bench.step_tensor, &mean.tensor, &decoded)?;
    let errors = mean.values.map(|_| 0.0);
    bench.check(dispatch, [Output::matrix("decoded", &decoded, &mean.values, &errors)])
}
