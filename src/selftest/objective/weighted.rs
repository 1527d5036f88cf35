//! The self-test of `shaders/objective/weighted.wgsl` and of the files below it.
//!
//! Rows are importance samples. The samples of an example are consecutive rows.

use super::{Given, Loss, output, vector};
use crate::Error;
use crate::gpu::Tensor;
use crate::objective::ObjectiveState;
use crate::objective::weighted::{self, Gradient, Weighted};
use crate::selftest::bench::{Bench, Output, SAMPLES};
use crate::selftest::tolerance::{self, DIVISION, ULP};
use crate::selftest::{Checks, Matrix, Sizes};
use crate::step::At;

pub(super) const CHECKS: Checks = &[
    ("objective/weighted/log_weights.wgsl:sum", check_log_weights),
    ("objective/weighted/weights.wgsl:softmax", check_weights),
    ("objective/weighted/scale.wgsl:scale", check_scale),
];

/// The logarithm of each row's importance weight, `log_prob - kl_weight * kl`, from each row's parts of both.
pub fn log_weights(log_prob: &Matrix, kl: &Matrix, kl_weight: f64) -> Vec<f64> {
    let sum = |terms: &Matrix, row| terms.row(row).iter().sum::<f64>();
    (0..log_prob.rows()).map(|row| sum(log_prob, row) - kl_weight * sum(kl, row)).collect()
}

/// `log 1/K sum_k exp(log_weights[k])` of each example.
pub fn bounds(log_weights: &[f64], samples: usize) -> Vec<f64> {
    let bound = |own: &[f64]| {
        let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + (own.iter().map(|w| (w - largest).exp()).sum::<f64>() / samples as f64).ln()
    };
    log_weights.chunks(samples).map(bound).collect()
}

/// Each row's share of its example's weights, `exp(log_weights[k]) / sum_k exp(log_weights[k])`.
pub fn weights(log_weights: &[f64], samples: usize) -> Vec<f64> {
    let bounds = bounds(log_weights, samples);
    log_weights.iter().enumerate().map(|(row, w)| (w - bounds[row / samples]).exp() / samples as f64).collect()
}

/// A loss whose rows have importance weights: with the plain gradient, and with the doubly reparameterised one.
pub(super) fn given(bench: &mut Bench<'_>, samples: usize) -> Result<[Given; 2], Error> {
    let Sizes { batch, rows, columns: latents, .. } = bench.sizes;
    let kl_weight = bench.kl_weight();
    let mut given = |name, gradient| {
        let weighted = Weighted::new(bench.gpu, gradient, batch * samples, batch)?;
        let weights = super::weights(bench, &weighted.weights)?;
        let losses = super::weights(bench, &weighted.loss)?;
        Ok(Given {
            name,
            part: weighted.part().clone(),
            is_doubly: gradient == Gradient::DoublyReparameterised,
            row_weights: weights.iter().map(|weight| weight / rows as f64).collect(),
            latent_weights: vec![kl_weight; latents],
            draw_weights: weights.iter().map(|weight| 1.0 - kl_weight * (1.0 - weight)).collect(),
            loss: Loss::Stored(losses[..rows].iter().sum()),
        })
    };
    Ok([given("weighted", Gradient::Standard)?, given("doubly", Gradient::DoublyReparameterised)?])
}

fn check_log_weights(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, columns, outputs, .. } = bench.sizes;
    bench.samples = SAMPLES;
    let log_prob = bench.input(columns, |draw, _| 100.0 * draw)?;
    let kl = bench.input(outputs, |draw, _| 10.0 + draw)?;
    let result = vector(bench, batch * SAMPLES)?;
    let dispatch = weighted::log_weights(bench.at(), &log_prob.tensor, &kl.tensor, &result)?;
    let kl_weight = bench.kl_weight();
    let values = log_weights(&log_prob.values, &kl.values, kl_weight);
    let magnitudes = log_weights(&log_prob.values.abs(), &kl.values.abs(), -kl_weight);
    let errors = magnitudes.iter().map(|magnitude| tolerance::sum(columns.max(outputs) + 4, *magnitude)).collect();
    bench.check(dispatch, [output("log_weights", &result, values, errors)])
}

fn check_weights(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, .. } = bench.sizes;
    bench.samples = 1;
    // About zero, or far out and far apart, example by example.
    let given = bench.input(SAMPLES, |draw, row| [1.0, 30.0, 1e4][row % 3] * (draw - 1.5))?;
    let mut words: Vec<f32> = given.values.values().iter().map(|value| *value as f32).collect();
    words.resize(batch * SAMPLES, f32::NAN);
    let log_weights = Tensor::from_values(bench.gpu, 1, words.len(), &words)?;
    let (result, loss) = (vector(bench, batch * SAMPLES)?, vector(bench, batch)?);
    let at = At { samples: SAMPLES, ..bench.at() };
    let dispatch = weighted::softmax(at, &log_weights, &result, &loss)?;
    let values = weights(given.values.values(), SAMPLES);
    let bounds = bounds(given.values.values(), SAMPLES);
    // The argument of an exponential is a difference from the largest, and is off by its rounding.
    let relative = |row: usize| {
        let own = given.values.row(row);
        let spread = own.iter().map(|w| (w - bounds[row]).abs() + 2.0).fold(0.0, f64::max);
        (0..SAMPLES).map(|k| tolerance::exp(own[k] - bounds[row])).fold(0.0, f64::max) + spread * ULP
    };
    let errors = values
        .iter()
        .enumerate()
        .map(|(i, value)| value * (2.0 * relative(i / SAMPLES) + tolerance::sum(SAMPLES, 1.0) + DIVISION));
    let loss_errors =
        (0..rows).map(|b| relative(b) + tolerance::LOG + tolerance::sum(SAMPLES + 4, bounds[b].abs() + 2.0));
    let outputs = [
        output("weights", &result, values.clone(), errors.collect()),
        output("loss", &loss, bounds.iter().map(|bound| -bound).collect(), loss_errors.collect()),
    ];
    bench.check(dispatch, outputs)
}

fn check_scale(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, columns, .. } = bench.sizes;
    bench.samples = SAMPLES;
    let doutput = bench.in_place(columns, |draw, _| draw)?;
    let weights: Vec<f32> = (0..batch * SAMPLES).map(|_| bench.draw().abs()).collect();
    let tensor = Tensor::from_values(bench.gpu, 1, weights.len(), &weights)?;
    let dispatch = weighted::scale(bench.at(), &tensor, &doutput.tensor)?;
    let values = Matrix::from_fn(doutput.values.rows(), columns, |row, column| {
        SAMPLES as f64 * f64::from(weights[row]) * doutput.values.at(row, column)
    });
    let errors = values.map(|value| 2.0 * ULP * value.abs());
    bench.check(dispatch, [Output::matrix("doutput", &doutput.tensor, &values, &errors)])
}
