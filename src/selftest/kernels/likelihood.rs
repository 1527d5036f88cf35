//! The checks of `shaders/likelihood/`.

use super::dense::forward_epilogue;
use crate::Error;
use crate::gpu::Tensor;
use crate::likelihood::{Likelihood, bernoulli, gaussian};
use crate::nn::Epilogue;
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

/// The log probability's partial sums, of which none is right yet.
fn log_prob(bench: &Bench<'_>) -> Result<Tensor, Error> {
    let Sizes { batch, columns, .. } = bench.sizes;
    poisoned(bench.gpu, Likelihood::log_prob_tensor(bench.gpu, batch, columns)?)
}

fn logvar(bench: &Bench<'_>) -> Result<Tensor, Error> {
    Tensor::from_values(bench.gpu, 1, 1, &[LOGVAR])
}

/// `exp(-logvar)` and its relative error.
fn precision() -> (f64, f64) {
    let logvar = f64::from(LOGVAR);
    ((-logvar).exp(), tolerance::exp(logvar))
}

pub fn bernoulli_log_prob(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, logits) = (pixels(bench)?, logits(bench)?);
    let (dlogits, log_prob) = (bench.output(bench.sizes.columns)?, log_prob(bench)?);
    let dispatch = forward_epilogue(bench, &logits, &bernoulli::log_prob(&x.tensor, &dlogits, &log_prob))?;
    let block = Epilogue::block(bench.gpu)?;
    let values = reference::bernoulli::log_prob(&x.values, &logits.values).block_sums(block);
    let magnitudes = x.values.zip(&logits.values, |x, l| (x * l).abs() + activation::softplus(l)).block_sums(block);
    let softplus_errors = logits.values.map(tolerance::softplus_error).block_sums(block);
    let errors = magnitudes.zip(&softplus_errors, |magnitude, error| tolerance::sum(2 * block + 1, magnitude) + error);
    let gradients = reference::bernoulli::backward(&x.values, &logits.values);
    let rows = bench.sizes.rows as f64;
    let gradient_errors =
        gradients.zip(&logits.values, |value, l| tolerance::sigmoid_error(l) / rows + value.abs() * (DIVISION + ULP));
    let outputs = [
        Output::unpadded("log_prob", &log_prob, &values, &errors),
        Output::matrix("dlogits", &dlogits, &gradients, &gradient_errors),
    ];
    bench.check(dispatch, outputs)
}

pub fn bernoulli_mean(bench: &mut Bench<'_>) -> Result<(), Error> {
    let logits = logits(bench)?;
    let mean = bench.output(bench.sizes.columns)?;
    let dispatch = forward_epilogue(bench, &logits, &bernoulli::mean(&mean))?;
    let values = logits.values.map(activation::sigmoid);
    let errors = logits.values.map(tolerance::sigmoid_error);
    bench.check(dispatch, [Output::matrix("mean", &mean, &values, &errors)])
}

pub fn gaussian_log_prob(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, mean, logvar) = (pixels(bench)?, mean(bench)?, logvar(bench)?);
    let (dmean, log_prob) = (bench.output(bench.sizes.columns)?, log_prob(bench)?);
    let dispatch = forward_epilogue(bench, &mean, &gaussian::log_prob(&x.tensor, &logvar, &dmean, &log_prob))?;
    let block = Epilogue::block(bench.gpu)?;
    let values = reference::gaussian::log_prob(&x.values, &mean.values, f64::from(LOGVAR)).block_sums(block);
    let (precision, precision_error) = precision();
    let magnitudes = x.values.zip(&mean.values, |x, m| {
        0.5 * (std::f64::consts::TAU.ln() + f64::from(LOGVAR.abs()) + (x - m).powi(2) * precision)
    });
    // A difference that is squared, and multiplied twice: four units more than a product of exact numbers.
    let errors = magnitudes
        .block_sums(block)
        .map(|magnitude| tolerance::sum(2 * block + 4, magnitude) + magnitude * precision_error);
    let gradients = reference::gaussian::backward(&x.values, &mean.values, f64::from(LOGVAR));
    let gradient_errors = gradients.map(|value| value.abs() * (precision_error + DIVISION + 2.0 * ULP));
    let outputs = [
        Output::unpadded("log_prob", &log_prob, &values, &errors),
        Output::matrix("dmean", &dmean, &gradients, &gradient_errors),
    ];
    bench.check(dispatch, outputs)
}

pub fn gaussian_backward_logvar(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: dimensions, .. } = bench.sizes;
    let (logvar, blocks) = (logvar(bench)?, dimensions.div_ceil(Epilogue::block(bench.gpu)?));
    // About what makes the two parts of each example equal, so that they nearly cancel.
    let constant = 0.5 * dimensions as f64 * (1.0 + std::f64::consts::TAU.ln() + f64::from(LOGVAR));
    let share = (constant / blocks as f64) as f32;
    let log_prob = bench.input(blocks, |draw, _| -share * (1.0 + draw))?;
    let dlogvar = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 1, 1)?)?;
    let (step, log_prob_tensor) = (&bench.step_tensor, &log_prob.tensor);
    let dispatch = gaussian::backward_logvar(bench.gpu, step, dimensions, &logvar, log_prob_tensor, &dlogvar)?;
    let value = reference::gaussian::backward_logvar(&log_prob.values, dimensions, f64::from(LOGVAR));
    let magnitude: f64 = log_prob.values.abs().values().iter().sum::<f64>() + (rows as f64) * constant.abs();
    let error = tolerance::sum(rows + blocks + 4, magnitude) / rows as f64 + value.abs() * (DIVISION + ULP);
    let [values, errors] = [value, error].map(|number| Matrix::vector(vec![number]));
    bench.check(dispatch, [Output::unpadded("dlogvar", &dlogvar, &values, &errors)])
}
