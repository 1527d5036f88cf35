//! The self-test of `shaders/likelihood/gaussian.wgsl` and of the files below it.

use std::f64::consts::TAU;

use super::{Given, grey, outputs, pixels};
use crate::Error;
use crate::gpu::{Arena, Tensor};
use crate::likelihood::Terms;
use crate::likelihood::gaussian::{Gaussian, Variance};
use crate::nn::{self, Epilogue};
use crate::selftest::bench::{Bench, Output, SAMPLES, poisoned};
use crate::selftest::objective::objectives;
use crate::selftest::tolerance::{self, DIVISION, ULP};
use crate::selftest::{Checks, Matrix, Sizes};

pub(super) const CHECKS: Checks = &[
    ("likelihood/gaussian.wgsl", check_log_prob),
    ("likelihood/gaussian/logvar.wgsl:backward", check_backward_logvar),
    ("likelihood/gaussian.wgsl, per dimension", check_per_dimension),
    ("likelihood/gaussian/logvar/per_dimension.wgsl:backward", check_per_dimension_backward_logvar),
    ("likelihood/pixels.wgsl:show, gaussian", check_pixels),
];

/// The logarithm of the variance, if it is one for all dimensions.
const LOGVAR: f32 = -1.37;

/// Means that a decoder outputs.
const SIZES: [f32; 3] = [1.0, 2.0, 1e4];

/// Each dimension's share of the log density: `-1/2 * (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`
pub fn log_prob(x: &Matrix, mean: &Matrix, logvar: f64) -> Matrix {
    x.zip(mean, |x, m| -0.5 * (TAU.ln() + logvar + (x - m).powi(2) * (-logvar).exp()))
}

/// `dmean = (mean - x) * exp(-logvar) / rows`
pub fn backward(x: &Matrix, mean: &Matrix, logvar: f64) -> Matrix {
    let rows = x.rows() as f64;
    x.zip(mean, |x, m| (m - x) * (-logvar).exp() / rows)
}

/// `dlogvar = 1/2 * sum_row w[row] * sum_d (1 - (x - mean)^2 * exp(-logvar))`, where `1/2 * (1 - ...)` is each
/// dimension's share of the log density less `-1/2 * (1 + log(2 pi) + logvar)`.
pub fn backward_logvar(log_prob: &Matrix, dimensions: usize, logvar: f64, weights: &[f64]) -> f64 {
    let constant = 0.5 * dimensions as f64 * (1.0 + TAU.ln() + logvar);
    let excess = |row: usize| log_prob.row(row).iter().sum::<f64>() + constant;
    weights.iter().enumerate().map(|(row, weight)| weight * excess(row)).sum()
}

/// [`log_prob`] with a log variance for each dimension.
pub fn log_prob_per_dimension(x: &Matrix, mean: &Matrix, logvar: &[f64]) -> Matrix {
    Matrix::from_fn(mean.rows(), mean.columns(), |r, d| {
        -0.5 * (TAU.ln() + logvar[d] + (example(x, mean, r, d) - mean.at(r, d)).powi(2) * (-logvar[d]).exp())
    })
}

/// [`backward`] with a log variance for each dimension.
pub fn backward_per_dimension(x: &Matrix, mean: &Matrix, logvar: &[f64]) -> Matrix {
    Matrix::from_fn(mean.rows(), mean.columns(), |r, d| {
        (mean.at(r, d) - example(x, mean, r, d)) * (-logvar[d]).exp() / mean.rows() as f64
    })
}

/// `dlogvar[d] = 1/2 * sum_row w[row] * (1 - (x - mean)^2 * exp(-logvar[d]))`, from
/// `dmean = (mean - x) * exp(-logvar[d]) / rows`.
pub fn backward_logvar_per_dimension(dmean: &Matrix, logvar: &[f64], weights: &[f64]) -> Vec<f64> {
    let excess = |r: usize, d: usize| 1.0 - (dmean.at(r, d) * dmean.rows() as f64).powi(2) * logvar[d].exp();
    let of = |d: usize| 0.5 * weights.iter().enumerate().map(|(r, weight)| weight * excess(r, d)).sum::<f64>();
    (0..dmean.columns()).map(of).collect()
}

/// A pixel of the example that a row belongs to.
fn example(x: &Matrix, rows: &Matrix, row: usize, dimension: usize) -> f64 {
    x.at(row / (rows.rows() / x.rows()), dimension)
}

/// The likelihood with the given log variances.
fn gaussian(bench: &Bench<'_>, kind: Variance, logvars: &[f64]) -> Result<Given, Error> {
    let given = Given::new(bench, Box::new(Gaussian { variance: 1.0, kind }))?;
    let logvars: Vec<f32> = logvars.iter().map(|logvar| *logvar as f32).collect();
    given.parameters.get("likelihood.logvar").write(bench.gpu, &logvars)?;
    Ok(given)
}

/// An arena with a place for the gradient of the log variances, without any right word yet.
fn gradients(bench: &Bench<'_>, given: &Given) -> Result<(Arena, Tensor), Error> {
    let arena = nn::arena(bench.gpu, given.density.parameter(bench.sizes.columns).as_slice())?;
    let dlogvar = poisoned(bench.gpu, arena.get("likelihood.logvar"))?;
    Ok((arena, dlogvar))
}

/// `exp(-logvar)` and its relative error.
fn precision() -> (f64, f64) {
    let logvar = f64::from(LOGVAR);
    ((-logvar).exp(), tolerance::exp(logvar))
}

/// Draws log variances, one for each dimension.
fn logvars(bench: &mut Bench<'_>) -> Vec<f64> {
    (0..bench.sizes.columns).map(|_| f64::from(2.0 * bench.draw() - 1.0)).collect()
}

fn check_log_prob(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, mean, block) = (grey(bench)?, outputs(bench, 1, SIZES)?, Epilogue::block(bench.gpu)?);
    let values = log_prob(&x.values, &mean.values, f64::from(LOGVAR)).block_sums(block);
    let (precision, precision_error) = precision();
    let magnitudes =
        x.values.zip(&mean.values, |x, m| 0.5 * (TAU.ln() + f64::from(LOGVAR.abs()) + (x - m).powi(2) * precision));
    // A difference is squared and multiplied twice: four units more than a product of exact numbers.
    let errors = magnitudes
        .block_sums(block)
        .map(|magnitude| tolerance::sum(2 * block + 4, magnitude) + magnitude * precision_error);
    let gradients = backward(&x.values, &mean.values, f64::from(LOGVAR));
    let gradient_errors = gradients.map(|value| value.abs() * (precision_error + DIVISION + 2.0 * ULP));
    let given = gaussian(bench, Variance::Shared, &[LOGVAR.into()])?;
    given.check(bench, [&x, &mean], [&values, &errors], [&gradients, &gradient_errors])
}

/// For every objective.
fn check_backward_logvar(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: dimensions, .. } = bench.sizes;
    let given = gaussian(bench, Variance::Shared, &[LOGVAR.into()])?;
    let (x, blocks) = (bench.output(dimensions)?, dimensions.div_ceil(Epilogue::block(bench.gpu)?));
    // Near the value that makes the two parts of each row equal, so that much of them cancels.
    let constant = 0.5 * dimensions as f64 * (1.0 + TAU.ln() + f64::from(LOGVAR));
    let share = (constant / blocks as f64) as f32;
    for objective in objectives(bench, SAMPLES)? {
        bench.samples = SAMPLES;
        let log_prob = bench.input(blocks, |draw, _| -share * (0.7 + draw))?;
        let (output, (gradients, dlogvar)) = (bench.output(dimensions)?, gradients(bench, &given)?);
        let terms = Terms { x: &x, output: &output, log_prob: &log_prob.tensor, trains: true };
        let recording = bench.recording(&given.parameters);
        let dispatch = given.density.backward(recording, terms, &objective.part, &gradients)?;
        let dispatch = dispatch.expect("a learned variance has a gradient");
        let weights = &objective.row_weights[..rows * SAMPLES];
        let of = |log_prob: &Matrix| backward_logvar(log_prob, dimensions, LOGVAR.into(), weights);
        let of_row = |row: usize| log_prob.values.abs().row(row).iter().sum::<f64>() + constant.abs();
        let magnitude: f64 = weights.iter().enumerate().map(|(row, weight)| weight * of_row(row)).sum();
        let error = tolerance::sum(rows * SAMPLES + blocks + 5, magnitude) + magnitude * DIVISION;
        let [values, errors] = [of(&log_prob.values), error].map(|number| Matrix::vector(vec![number]));
        bench.check_variant(objective.name, dispatch, [Output::unpadded("dlogvar", &dlogvar, &values, &errors)])?;
    }
    Ok(())
}

fn check_per_dimension(bench: &mut Bench<'_>) -> Result<(), Error> {
    let x = grey(bench)?;
    bench.samples = SAMPLES;
    let (mean, logvars, block) = (outputs(bench, 1, SIZES)?, logvars(bench), Epilogue::block(bench.gpu)?);
    let shares = log_prob_per_dimension(&x.values, &mean.values, &logvars);
    let gradients = backward_per_dimension(&x.values, &mean.values, &logvars);
    let relative = |d: usize| tolerance::exp(logvars[d]) + DIVISION + 6.0 * ULP;
    let magnitudes =
        Matrix::from_fn(shares.rows(), shares.columns(), |r, d| shares.at(r, d).abs() + TAU.ln() + logvars[d].abs());
    let share_errors = Matrix::from_fn(shares.rows(), shares.columns(), |r, d| magnitudes.at(r, d) * relative(d));
    let errors = magnitudes
        .block_sums(block)
        .zip(&share_errors.block_sums(block), |magnitude, error| tolerance::sum(2 * block, magnitude) + error);
    let gradient_errors =
        Matrix::from_fn(shares.rows(), shares.columns(), |r, d| gradients.at(r, d).abs() * relative(d));
    let given = gaussian(bench, Variance::PerDimension, &logvars)?;
    given.check(bench, [&x, &mean], [&shares.block_sums(block), &errors], [&gradients, &gradient_errors])
}

/// For every objective.
fn check_per_dimension_backward_logvar(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: dimensions, .. } = bench.sizes;
    let logvars = logvars(bench);
    let (given, x) = (gaussian(bench, Variance::PerDimension, &logvars)?, bench.output(dimensions)?);
    for objective in objectives(bench, SAMPLES)? {
        bench.samples = SAMPLES;
        let scale = 3.0 / (rows * SAMPLES) as f32;
        let dmean = bench.input(dimensions, |draw, _| scale * draw)?;
        let (log_prob, (gradients, dlogvar)) = (bench.output(1)?, gradients(bench, &given)?);
        let terms = Terms { x: &x, output: &dmean.tensor, log_prob: &log_prob, trains: true };
        let recording = bench.recording(&given.parameters);
        let dispatch = given.density.backward(recording, terms, &objective.part, &gradients)?;
        let dispatch = dispatch.expect("learned variances have gradients");
        let weights = &objective.row_weights[..rows * SAMPLES];
        let values = backward_logvar_per_dimension(&dmean.values, &logvars, weights);
        // The magnitude if the two parts of a row had the same sign.
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

/// With one variance, and with one for each dimension.
fn check_pixels(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (mean, values) = (outputs(bench, 1, SIZES)?, logvars(bench));
    for (kind, logvars, step) in [(Variance::Shared, &values[..1], 0), (Variance::PerDimension, &values[..], 1)] {
        let given = gaussian(bench, kind, logvars)?;
        pixels::check_mean(bench, &given, &mean, &|mean, _| (mean[0], 0.0))?;
        pixels::check_draw(bench, &given, &mean, &|mean, random| {
            pixels::normal(mean[0], values[step * random.d as usize], 0.0, random)
        })?;
    }
    Ok(())
}
