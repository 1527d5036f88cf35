//! The checks of the likelihoods in `shaders/likelihood/` of which a dimension has several outputs.

use super::dense::forward_epilogue;
use super::likelihood::SAMPLES;
use crate::Error;
use crate::gpu::{Dispatch, Tensor};
use crate::likelihood::{beta_binomial, categorical, discretised_logistic, gaussian_predicted};
use crate::nn::Epilogue;
use crate::selftest::bench::{Bench, Operand, Output};
use crate::selftest::reference::activation::sigmoid;
use crate::selftest::reference::likelihood::categorical as categorical_reference;
use crate::selftest::reference::likelihood::pairs::{self, Share};
use crate::selftest::reference::{Matrix, activation};
use crate::selftest::tolerance::{self, DIVISION, ULP};

/// The variance that the predicted ones start at.
pub const VARIANCE: f32 = 0.2;

/// Categories of a pixel.
pub const CATEGORIES: usize = 3;

/// Pixels that are levels: many 0 and 1, the others between.
fn levels(bench: &mut Bench<'_>, levels: usize) -> Result<Operand, Error> {
    let highest = (levels - 1) as f32;
    bench.samples = 1;
    let x = bench.input(bench.sizes.columns, |draw, _| ((1.5 * draw).clamp(0.0, 1.0) * highest).round() / highest);
    bench.samples = SAMPLES;
    x
}

/// The absolute errors of a dimension's share of the log probability and of its derivatives, for a pixel and its outputs.
type Errors = fn(f64, [f64; 2], &Share) -> (f64, [f64; 2]);

/// A dimension's share, from the pixel and its outputs.
type ShareOf = fn(f64, [f64; 2]) -> Share;

/// Holds a likelihood with two outputs a dimension against its reference; `block` dimensions make a partial sum.
fn check(
    bench: &mut Bench<'_>,
    dispatch: Dispatch,
    (x, output): (&Operand, &Operand),
    (log_prob, block): (&Tensor, usize),
    (name, doutput): (&'static str, &Tensor),
    (share, errors): (ShareOf, Errors),
) -> Result<(), Error> {
    let (shares, gradients) = pairs::evaluate(&x.values, &output.values, share);
    let (rows, dimensions) = (shares.rows(), shares.columns());
    let errors_of = |r: usize, d: usize| {
        let (x, outputs) = (x.values.at(r / SAMPLES, d), [output.values.at(r, 2 * d), output.values.at(r, 2 * d + 1)]);
        errors(x, outputs, &share(x, outputs))
    };
    let share_errors = Matrix::from_fn(rows, dimensions, |r, d| errors_of(r, d).0);
    let wants = shares.block_sums(block);
    let want_errors = shares
        .abs()
        .block_sums(block)
        .zip(&share_errors.block_sums(block), |magnitude, error| tolerance::sum(2 * block, magnitude) + error);
    let gradient_errors = Matrix::from_fn(rows, 2 * dimensions, |r, c| {
        errors_of(r, c / 2).1[c % 2] / rows as f64 + gradients.at(r, c).abs() * (DIVISION + ULP)
    });
    let outputs = [
        Output::unpadded("log_prob", log_prob, &wants, &want_errors),
        Output::matrix(name, doutput, &gradients, &gradient_errors),
    ];
    bench.check(dispatch, outputs)
}

/// The tensors of an epilogue with two outputs a dimension: the log probability, the dimensions of a partial sum, the gradient.
fn epilogue_tensors(bench: &Bench<'_>) -> Result<(Tensor, usize, Tensor), Error> {
    let (columns, block) = (2 * bench.sizes.columns, Epilogue::block(bench.gpu)?);
    Ok((bench.output(columns.div_ceil(block))?, block / 2, bench.output(columns)?))
}

/// The error of the predicted log variance, and the relative one of `exp(-logvar / 2)`.
pub fn predicted_errors(raw: f64) -> (f64, f64) {
    let (shift, logvar) = (pairs::shift(VARIANCE.into()), pairs::predicted_logvar(raw, VARIANCE.into()));
    let shifted = raw + shift;
    let argument = ULP * (shifted.abs() + shift);
    let error = tolerance::softplus_error(shifted) + argument + ULP * (logvar.abs() + 10.0);
    (error, tolerance::exp(0.5 * logvar) + 0.5 * error)
}

pub fn gaussian_predicted(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.samples = 1;
    let x = bench.input(bench.sizes.columns, |draw, _| (1.5 * draw).clamp(0.0, 1.0))?;
    bench.samples = SAMPLES;
    let output = bench.input(2 * bench.sizes.columns, |draw, row| [1.0, 4.0, 30.0][row % 3] * draw)?;
    let (log_prob, block, doutput) = epilogue_tensors(bench)?;
    let epilogue = gaussian_predicted::log_prob(VARIANCE, &x.tensor, &doutput, &log_prob);
    let dispatch = forward_epilogue(bench, &output, &epilogue)?;
    let errors: Errors = |x, [mean, raw], share| {
        let (logvar_error, relative) = predicted_errors(raw);
        let logvar = pairs::predicted_logvar(raw, VARIANCE.into());
        let square = (x - mean).powi(2) * (-logvar).exp();
        let square_error = square * (2.0 * relative + 5.0 * ULP);
        let (slope, shifted) = (sigmoid(raw + pairs::shift(VARIANCE.into())), raw + pairs::shift(VARIANCE.into()));
        let slope_error = tolerance::sigmoid_error(shifted) + ULP * slope * (shifted.abs() + 8.0);
        let by_raw =
            0.5 * (square_error + 2.0 * ULP * (1.0 + square)) * slope + 0.5 * (1.0 - square).abs() * slope_error;
        let log_prob = 0.5 * (logvar_error + square_error) + 3.0 * ULP * (2.0 + logvar.abs() + square);
        (log_prob, [share.slopes[0].abs() * (2.0 * relative + 5.0 * ULP), by_raw])
    };
    let share = |x, outputs| pairs::gaussian_predicted(x, outputs, VARIANCE.into());
    check(bench, dispatch, (&x, &output), (&log_prob, block), ("doutput", &doutput), (share, errors))
}

/// The error of the logistic's log scale, and the relative one of the scale or its inverse.
pub fn scale_errors(raw: f64) -> (f64, f64) {
    let log_scale = pairs::log_scale(raw);
    let error = ULP * (raw.abs() + 2.0 * log_scale.abs() + 3.0);
    (error, tolerance::exp(log_scale) + error)
}

/// The errors of the logistic likelihood, to first order in those of `-a` and `b`.
fn logistic_errors(x: f64, [mean, raw]: [f64; 2], share: &Share) -> (f64, [f64; 2]) {
    let (log_scale_error, relative) = scale_errors(raw);
    let log_scale = pairs::log_scale(raw);
    let inverse = (-log_scale).exp();
    let delta = inverse / 255.0;
    let (mut log_prob, mut by_mean, mut by_scale) = (0.0, 0.0, 0.0);
    for end in [-(x - mean + 1.0 / 510.0) * inverse, (x - mean - 1.0 / 510.0) * inverse] {
        let error = end.abs() * (relative + ULP) + 3.0 * ULP * inverse * (x + mean.abs() + 0.01);
        let (slope, curve) = (sigmoid(end), sigmoid(end) * sigmoid(-end));
        let slope_error = tolerance::sigmoid_error(end) + curve * error;
        log_prob += tolerance::softplus_error(end) + slope * error + 3.0 * ULP * activation::softplus(end);
        by_mean += inverse * (slope_error + 2.0 * ULP * slope);
        by_scale += end.abs() * slope_error + slope * error + 3.0 * ULP * end.abs() * slope;
    }
    let gone = (-delta).exp();
    // By the series, what is left out of it and its roundings; or else 1 - exp(-delta) and its logarithm.
    let series = log_scale_error + 3.0 * ULP * (8.0 + log_scale.abs()) + 1e-7;
    let difference = gone * (tolerance::exp(delta) + delta * relative) + 2.0 * ULP;
    let plain = difference / (1.0 - gone) + tolerance::log(1.0);
    log_prob += series + if delta > 0.49 { plain } else { 0.0 };
    by_mean += share.slopes[0].abs() * (relative + 2.0 * ULP);
    by_scale += 1e-7 + 8.0 * ULP + delta * relative;
    by_scale += if delta > 0.49 { delta * gone * difference / (1.0 - gone).powi(2) + DIVISION } else { 0.0 };
    (log_prob, [by_mean, by_scale])
}

pub fn discretised_logistic(bench: &mut Bench<'_>) -> Result<(), Error> {
    let x = levels(bench, 256)?;
    let output = bench.input(2 * bench.sizes.columns, |draw, row| [1.0, 4.0, 30.0][row % 3] * draw)?;
    let (log_prob, block, doutput) = epilogue_tensors(bench)?;
    let epilogue = discretised_logistic::log_prob(&x.tensor, &doutput, &log_prob);
    let dispatch = forward_epilogue(bench, &output, &epilogue)?;
    let operands = (&x, &output);
    let share = (pairs::discretised_logistic as ShareOf, logistic_errors as Errors);
    check(bench, dispatch, operands, (&log_prob, block), ("doutput", &doutput), share)
}

/// The errors of the beta-binomial likelihood: of the counts, and of each term of the shader's formula.
fn beta_binomial_errors(x: f64, raw: [f64; 2], share: &Share) -> (f64, [f64; 2]) {
    let counts = raw.map(|raw| raw.clamp(-7.0, 7.0).exp());
    let both = counts[0] + counts[1];
    let level = (255.0 * x).round();
    let count_error = tolerance::exp(7.0);
    // The errors and the magnitude of T(z, k) without its largest part.
    let rest = |z: f64, k: f64| {
        let (y, factors) = (k / (z + 8.0), (0..8).map(|i| (1.0 + k / (z + f64::from(i))).ln()).sum::<f64>());
        let logarithm = y.ln_1p() * (16.0 * ULP + DIVISION) + if y > 0.49 { tolerance::log(y.ln_1p()) } else { 0.0 };
        let (first, second) = ((z + 8.0) * y.ln_1p(), 48.0 * ULP + DIVISION + tolerance::log(factors));
        ((z + 8.0) * logarithm + second + 3e-7, first + factors)
    };
    let common = rest(both, 255.0);
    let mut log_prob = common.0 + 8.0 * ULP * (common.1 + 173.0);
    for (z, k) in counts.into_iter().zip([level, 255.0 - level]) {
        let logarithm = ((z + 8.0 + k) / (both + 8.0 + 255.0)).ln();
        let (error, magnitude) = rest(z, k);
        log_prob += error + 8.0 * ULP * (magnitude + k * logarithm.abs());
        log_prob += k * (tolerance::log(logarithm) + DIVISION + 5.0 * ULP);
    }
    // A count's error moves the result by the slope, and each slope by at most twice its terms and once the other's.
    log_prob += count_error * share.slopes.iter().map(|slope| slope.abs()).sum::<f64>();
    let relative = 3.0 * count_error + 48.0 * ULP + DIVISION + 3.0 * tolerance::LOG;
    let by = |raw: f64, z: f64, k: f64| match raw.abs() > 7.0 {
        true => 0.0,
        false => {
            let terms = pairs::digamma_difference(z, k as usize) + pairs::digamma_difference(both, 255);
            z * terms * relative
        }
    };
    (log_prob, [by(raw[0], counts[0], level), by(raw[1], counts[1], 255.0 - level)])
}

pub fn beta_binomial(bench: &mut Bench<'_>) -> Result<(), Error> {
    let x = levels(bench, 256)?;
    let output = bench.in_place(2 * bench.sizes.columns, |draw, row| [2.0, 6.0, 9.0][row % 3] * draw)?;
    let log_prob = bench.output(output.tensor.stride() / 4)?;
    let (step, table) = (&bench.step_tensor, beta_binomial::log_choose(bench.gpu)?);
    let tensors = (&table, &x.tensor);
    let dispatch = beta_binomial::log_prob(bench.gpu, step, SAMPLES, tensors, &output.tensor, &log_prob)?;
    let share = (pairs::beta_binomial as ShareOf, beta_binomial_errors as Errors);
    check(bench, dispatch, (&x, &output), (&log_prob, 2), ("output", &output.tensor), share)
}

/// Of each exponential of a dimension's logits less the largest of them, relative; and of their sum, relative.
pub fn softmax_errors(logits: &[f64]) -> (Vec<f64>, f64) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let below = |logit: &f64| logit - largest;
    let relative = |logit: &f64| tolerance::exp(below(logit)) + ULP * below(logit).abs();
    let sum: f64 = logits.iter().map(|logit| below(logit).exp()).sum();
    let error: f64 = logits.iter().map(|logit| below(logit).exp() * relative(logit)).sum();
    (logits.iter().map(relative).collect(), error / sum + tolerance::sum(logits.len(), 1.0))
}

pub fn categorical(bench: &mut Bench<'_>) -> Result<(), Error> {
    let dimensions = bench.sizes.columns;
    let x = levels(bench, CATEGORIES)?;
    let logits = bench.in_place(dimensions * CATEGORIES, |draw, row| [3.0, 30.0, 1e4][row % 3] * draw)?;
    let given = logits.values.clone();
    let log_prob = bench.output(dimensions)?;
    let (step, output) = (&bench.step_tensor, &logits.tensor);
    let dispatch = categorical::log_prob(bench.gpu, step, SAMPLES, &x.tensor, output, &log_prob)?;
    let rows = given.rows();
    let own = |r: usize, d: usize| &given.row(r)[d * CATEGORIES..][..CATEGORIES];
    let values = categorical_reference::log_prob(&x.values, &given);
    let errors = Matrix::from_fn(rows, dimensions, |r, d| {
        3.0 * ULP * (values.at(r, d).abs() + 2.0) + softmax_errors(own(r, d)).1 + tolerance::log(1.1)
    });
    let (gradients, probs) =
        (categorical_reference::backward(&x.values, &given), categorical_reference::probs(&given, CATEGORIES));
    let gradient_errors = Matrix::from_fn(rows, dimensions * CATEGORIES, |r, c| {
        let (relative, sum) = softmax_errors(own(r, c / CATEGORIES));
        let prob = probs.at(r, c) * (relative[c % CATEGORIES] + sum + DIVISION);
        (prob + ULP) / rows as f64 + gradients.at(r, c).abs() * (DIVISION + ULP)
    });
    let outputs = [
        Output::unpadded("log_prob", &log_prob, &values, &errors),
        Output::matrix("output", output, &gradients, &gradient_errors),
    ];
    bench.check(dispatch, outputs)
}
