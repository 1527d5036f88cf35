//! The checks of `shaders/likelihood/`.

use super::dense::forward_epilogue;
use super::objective::objectives;
use crate::Error;
use crate::gpu::Tensor;
use crate::likelihood::{bernoulli, gaussian};
use crate::nn::Epilogue;
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Operand, Output, poisoned};
use crate::selftest::reference::{Matrix, activation, likelihood as reference};
use crate::selftest::tolerance::{self, DIVISION, ULP};

/// Samples of each example, where there are several.
pub const SAMPLES: usize = 3;

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
    bench.output(bench.sizes.columns.div_ceil(Epilogue::block(bench.gpu)?))
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

/// For every objective.
pub fn gaussian_backward_logvar(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: dimensions, .. } = bench.sizes;
    let (logvar, blocks) = (logvar(bench)?, dimensions.div_ceil(Epilogue::block(bench.gpu)?));
    // Near what makes the two parts of each row equal, so that much of them cancels.
    let constant = 0.5 * dimensions as f64 * (1.0 + std::f64::consts::TAU.ln() + f64::from(LOGVAR));
    let share = (constant / blocks as f64) as f32;
    for objective in objectives(bench, SAMPLES)? {
        bench.samples = SAMPLES;
        let log_prob = bench.input(blocks, |draw, _| -share * (0.7 + draw))?;
        let dmean = bench.output(dimensions)?;
        let dlogvar = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 1, 1)?)?;
        let (step, left) = (&bench.step_tensor, (&dmean, &log_prob.tensor));
        let part = (&objective.part, SAMPLES);
        let dispatch = gaussian::backward_logvar(bench.gpu, step, part, &logvar, left, &dlogvar)?;
        let weights = &objective.row_weights()[..rows * SAMPLES];
        let of = |log_prob: &Matrix| reference::gaussian::backward_logvar(log_prob, dimensions, LOGVAR.into(), weights);
        let of_row = |row: usize| log_prob.values.abs().row(row).iter().sum::<f64>() + constant.abs();
        let magnitude: f64 = weights.iter().enumerate().map(|(row, weight)| weight * of_row(row)).sum();
        let error = tolerance::sum(rows * SAMPLES + blocks + 5, magnitude) + magnitude * DIVISION;
        let [values, errors] = [of(&log_prob.values), error].map(|number| Matrix::vector(vec![number]));
        bench.check_variant(objective.name, dispatch, [Output::unpadded("dlogvar", &dlogvar, &values, &errors)])?;
    }
    Ok(())
}

/// Log variances, one for each dimension.
pub fn logvars(bench: &mut Bench<'_>) -> Result<(Tensor, Vec<f64>), Error> {
    let columns = bench.sizes.columns;
    let values: Vec<f32> = (0..columns).map(|_| 2.0 * bench.draw() - 1.0).collect();
    let tensor = Tensor::from_values(bench.gpu, 1, columns, &values)?;
    Ok((tensor, values.into_iter().map(f64::from).collect()))
}

pub fn gaussian_per_dimension(bench: &mut Bench<'_>) -> Result<(), Error> {
    let x = pixels(bench)?;
    bench.samples = SAMPLES;
    let (mean, (logvar, logvars)) = (mean(bench)?, logvars(bench)?);
    let (dmean, log_prob) = (bench.output(bench.sizes.columns)?, log_prob(bench)?);
    let dispatch = forward_epilogue(bench, &mean, &gaussian::log_prob(&x.tensor, &logvar, &dmean, &log_prob))?;
    let block = Epilogue::block(bench.gpu)?;
    let shares = reference::gaussian::log_prob_per_dimension(&x.values, &mean.values, &logvars);
    let gradients = reference::gaussian::backward_per_dimension(&x.values, &mean.values, &logvars);
    let relative = |d: usize| tolerance::exp(logvars[d]) + DIVISION + 6.0 * ULP;
    let magnitudes = Matrix::from_fn(shares.rows(), shares.columns(), |r, d| {
        shares.at(r, d).abs() + std::f64::consts::TAU.ln() + logvars[d].abs()
    });
    let share_errors = Matrix::from_fn(shares.rows(), shares.columns(), |r, d| magnitudes.at(r, d) * relative(d));
    let errors = magnitudes
        .block_sums(block)
        .zip(&share_errors.block_sums(block), |magnitude, error| tolerance::sum(2 * block, magnitude) + error);
    let gradient_errors =
        Matrix::from_fn(shares.rows(), shares.columns(), |r, d| gradients.at(r, d).abs() * relative(d));
    let outputs = [
        Output::unpadded("log_prob", &log_prob, &shares.block_sums(block), &errors),
        Output::matrix("dmean", &dmean, &gradients, &gradient_errors),
    ];
    bench.check(dispatch, outputs)
}

/// For every objective.
pub fn gaussian_per_dimension_backward_logvar(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: dimensions, .. } = bench.sizes;
    if dimensions == 1 {
        // One variance is then for all.
        return Ok(());
    }
    let (logvar, logvars) = logvars(bench)?;
    for objective in objectives(bench, SAMPLES)? {
        bench.samples = SAMPLES;
        let scale = 3.0 / (rows * SAMPLES) as f32;
        let dmean = bench.input(dimensions, |draw, _| scale * draw)?;
        let log_prob = bench.output(1)?;
        let dlogvar = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 1, dimensions)?)?;
        let (step, left) = (&bench.step_tensor, (&dmean.tensor, &log_prob));
        let part = (&objective.part, SAMPLES);
        let dispatch = gaussian::backward_logvar(bench.gpu, step, part, &logvar, left, &dlogvar)?;
        let weights = &objective.row_weights()[..rows * SAMPLES];
        let values = reference::gaussian::backward_logvar_per_dimension(&dmean.values, &logvars, weights);
        // As much as it would be if the two parts of a row added up.
        let total: f64 = weights.iter().sum();
        let errors = values.iter().zip(&logvars).map(|(value, logvar)| {
            let magnitude = value.abs() + 2.0 * total;
            tolerance::sum(rows * SAMPLES + 8, magnitude) + magnitude * (tolerance::exp(*logvar) + DIVISION)
        });
        let (errors, values) = (Matrix::vector(errors.collect()), Matrix::vector(values.clone()));
        bench.check_variant(objective.name, dispatch, [Output::matrix("dlogvar", &dlogvar, &values, &errors)])?;
    }
    Ok(())
}
