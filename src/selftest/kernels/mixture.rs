//! The checks of `shaders/prior/mixture/`. What fills the slot `prior` is checked with the kernels of the latents.

use std::f64::consts::TAU;

use super::latents::{RANGE, held, step_noise, through};
use super::objective::objectives;
use crate::Error;
use crate::gpu::Tensor;
use crate::posterior::LogvarRange;
use crate::prior::mixture::Mixture;
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Operand, Output, poisoned};
use crate::selftest::reference::Matrix;
use crate::selftest::reference::mixture::{self as reference, Prepared};
use crate::selftest::tolerance::{self, DIVISION, LOG, NOISE, ULP};

/// Samples of each example.
const SAMPLES: usize = 3;

/// A mixture of as many components as the sizes have outputs, and its components: log variances in range and out of it.
fn mixture(bench: &mut Bench<'_>, range: Option<LogvarRange>) -> Result<(Mixture, Matrix), Error> {
    let Sizes { batch, columns: latents, outputs: count, .. } = bench.sizes;
    let values: Vec<f32> = (0..count * 2 * latents).map(|_| 2.0 * bench.draw()).collect();
    let components = Tensor::from_values(bench.gpu, count, 2 * latents, &values)?;
    let mixture = Mixture::new(bench.gpu, &components, range, batch * SAMPLES, SAMPLES)?;
    bench.samples = SAMPLES;
    Ok((mixture, Matrix::from_fn(count, 2 * latents, |c, l| f64::from(values[c * 2 * latents + l]))))
}

/// The same with what depends on the components alone, as f32 has it.
fn prepared(bench: &mut Bench<'_>) -> Result<(Mixture, Prepared), Error> {
    let (mixture, components) = mixture(bench, None)?;
    let narrow = |values: &[f64]| -> Vec<f32> { values.iter().map(|value| *value as f32).collect() };
    let rounded = |values: &Matrix| values.map(|value| f64::from(value as f32));
    let Prepared { means, precisions, log_scales } = reference::prepare(&components);
    mixture.means.write(bench.gpu, &narrow(means.values()))?;
    mixture.precisions.write(bench.gpu, &narrow(precisions.values()))?;
    mixture.log_scales.write(bench.gpu, &narrow(&log_scales))?;
    let log_scales = rounded(&Matrix::vector(log_scales)).values().to_vec();
    Ok((mixture, Prepared { precisions: rounded(&precisions), means, log_scales }))
}

/// Draws about the components, and far from all of them in every third row.
fn draws(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)
}

pub fn prepare(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    for range in [None, Some(RANGE)] {
        let (mixture, components) = mixture(bench, range)?;
        let seen = held(&components, range);
        let Prepared { means, precisions, log_scales } = reference::prepare(&seen);
        for tensor in [&mixture.means, &mixture.precisions, &mixture.log_scales] {
            poisoned(bench.gpu, tensor.clone())?;
        }
        let precision_errors = precisions.map(|precision| precision * (tolerance::exp(precision.ln()) + ULP));
        let scale_errors = (0..seen.rows()).map(|c| {
            let magnitude: f64 = seen.row(c)[latents..].iter().map(|v| TAU.ln() + v.abs()).sum();
            0.5 * tolerance::sum(latents + 3, magnitude)
        });
        let (scales, scale_errors) = (Matrix::vector(log_scales), Matrix::vector(scale_errors.collect()));
        let outputs = [
            Output::matrix("means", &mixture.means, &means, &means.map(|_| 0.0)),
            Output::matrix("precisions", &mixture.precisions, &precisions, &precision_errors),
            Output::unpadded("log_scales", &mixture.log_scales, &scales, &scale_errors),
        ];
        bench.check_variant(if range.is_some() { "held" } else { "" }, mixture.prepare()?, outputs)?;
    }
    Ok(())
}

pub fn score(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs: count, .. } = bench.sizes;
    let (mut mixture, prepared) = prepared(bench)?;
    let z = draws(bench)?;
    mixture.scores = bench.output(count)?;
    let values = reference::scores(&z.values, &prepared);
    let errors = Matrix::from_fn(values.rows(), count, |r, c| {
        let (scale, value) = (prepared.log_scales[c], values.at(r, c));
        // A square has two roundings of the offset, one of its own and one with the precision.
        tolerance::sum(latents + 4, scale - value) + ULP * (value.abs() + scale.abs())
    });
    let dispatch = mixture.score(&bench.step_tensor, &z.tensor)?;
    bench.check(dispatch, [Output::unpadded("scores", &mixture.scores, &values, &errors)])
}

pub fn combine(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs: count, .. } = bench.sizes;
    let (mut mixture, _) = mixture(bench, None)?;
    let given = bench.in_place(count, |draw, row| [1.0, 30.0, 1e3][row % 3] * (draw - 1.5))?;
    let kl = bench.in_place(latents, |draw, _| 3.0 * draw)?;
    mixture.scores = given.tensor;
    let scores = given.values;
    let (shares, log_probs) = (reference::responsibilities(&scores), reference::log_prob(&scores));
    let below = |r: usize, c: usize| scores.row(r).iter().copied().fold(f64::MIN, f64::max) - scores.at(r, c);
    // Of a row's sum, relative. A term is an exponential of up to eight parts of its distance from the largest: one in its
    // lane and one in each round of the tree. Each part is off by its rounding; each product and sum is rounded.
    let relative: Vec<f64> = (0..scores.rows())
        .map(|r| {
            let of_term = |c| shares.at(r, c) * (8.0 * tolerance::exp(0.0) + 3.0 * ULP * below(r, c) + 8.0 * ULP);
            (0..count).map(of_term).sum::<f64>() + tolerance::sum(count.div_ceil(64) + 7, 1.0)
        })
        .collect();
    let share_errors = Matrix::from_fn(scores.rows(), count, |r, c| {
        let exponential = tolerance::exp(below(r, c)) + ULP * below(r, c);
        shares.at(r, c) * (exponential + DIVISION + relative[r])
    });
    let divergences =
        Matrix::from_fn(scores.rows(), latents, |r, l| kl.values.at(r, l) - log_probs[r] / latents as f64);
    let divergence_errors = Matrix::from_fn(scores.rows(), latents, |r, l| {
        let (log_prob, log_count) = (log_probs[r].abs(), (count as f64).ln());
        // Past 2, a logarithm is off by three units.
        let logarithms = 2.0 * (LOG + 3.0 * ULP * log_count);
        let log_prob_error = relative[r] + logarithms + 2.0 * ULP * (log_prob + 2.0 * log_count);
        let part = log_prob / latents as f64;
        log_prob_error / latents as f64 + (DIVISION + ULP) * part + ULP * kl.values.at(r, l).abs()
    });
    let dispatch = mixture.combine(&bench.step_tensor, &kl.tensor)?;
    let outputs = [
        Output::matrix("scores", &mixture.scores, &shares, &share_errors),
        Output::matrix("kl", &kl.tensor, &divergences, &divergence_errors),
    ];
    bench.check(dispatch, outputs)
}

pub fn backward_z(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs: count, .. } = bench.sizes;
    let (mut mixture, prepared) = prepared(bench)?;
    let z = draws(bench)?;
    let shares = bench.input(count, |draw, _| draw.abs())?;
    mixture.scores = shares.tensor;
    mixture.dz = bench.output(latents)?;
    let values = reference::backward_z(&z.values, &prepared, &shares.values);
    let Prepared { means, precisions, .. } = &prepared;
    let errors = Matrix::from_fn(z.values.rows(), latents, |r, l| {
        let pull = |c| shares.values.at(r, c) * (z.values.at(r, l) - means.at(c, l)).abs() * precisions.at(c, l);
        tolerance::sum(count + 3, (0..count).map(pull).sum())
    });
    let dispatch = mixture.backward_z(&bench.step_tensor, &z.tensor)?;
    bench.check(dispatch, [Output::matrix("prior_dz", &mixture.dz, &values, &errors)])
}

pub fn backward_components(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, outputs: count, .. } = bench.sizes;
    for objective in objectives(bench, SAMPLES)? {
        let (mut mixture, components) = mixture(bench, Some(RANGE))?;
        let z = draws(bench)?;
        let shares = bench.input(count, |draw, _| draw.abs())?;
        mixture.scores = shares.tensor;
        let weights: Vec<f64> = (0..rows * SAMPLES).map(|row| objective.kl_weight(row, 0)).collect();
        let seen = held(&components, Some(RANGE));
        let gradient = reference::backward_components(&z.values, &seen, &shares.values, &weights);
        let values = through(&components, &gradient, Some(RANGE));
        let errors = Matrix::from_fn(count, 2 * latents, |c, column| {
            let l = column % latents;
            let (mean, logvar) = (seen.at(c, l), seen.at(c, latents + l));
            let of_row = |r: usize| {
                let offset = (z.values.at(r, l) - mean).abs();
                let own = if column < latents { offset } else { 0.5 * offset * offset };
                weights[r] * shares.values.at(r, c) * (own * (-logvar).exp() + if column < latents { 0.0 } else { 0.5 })
            };
            let magnitude: f64 = (0..rows * SAMPLES).map(of_row).sum();
            // The weight is a quotient and a product, of which the product with the share is rounded too.
            magnitude * (tolerance::sum(rows * SAMPLES + 8, 1.0) + tolerance::exp(logvar) + 2.0 * DIVISION)
        });
        let dcomponents = poisoned(bench.gpu, Tensor::zeros(bench.gpu, count, 2 * latents)?)?;
        let step = &bench.step_tensor;
        let dispatch = mixture.backward_components(step, &objective.part, &z.tensor, &dcomponents)?;
        let output = Output::unpadded("dcomponents", &dcomponents, &values, &errors);
        bench.check_variant(objective.name, dispatch, [output])?;
    }
    Ok(())
}

pub fn sample(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, outputs: count, .. } = bench.sizes;
    let (mixture, components) = mixture(bench, Some(RANGE))?;
    bench.samples = 1;
    let z = bench.output(latents)?;
    let dispatch = mixture.sample(&bench.step_tensor, &z)?;
    let (seen, noise) = (held(&components, Some(RANGE)), step_noise(bench, 0, 1));
    let choice = |b: usize| reference::choice(bench.step.key, bench.step.first + b as u32, bench.step.t, count);
    let parts = |b: usize, l: usize| {
        let half_logvar = 0.5 * seen.at(choice(b), latents + l);
        (seen.at(choice(b), l), half_logvar, half_logvar.exp(), noise.at(b, l))
    };
    let values = Matrix::from_fn(rows, latents, |b, l| {
        let (mean, _, std, noise) = parts(b, l);
        mean + std * noise
    });
    let errors = Matrix::from_fn(rows, latents, |b, l| {
        let (mean, half_logvar, std, noise) = parts(b, l);
        std * (NOISE + noise.abs() * (tolerance::exp(half_logvar) + ULP)) + ULP * (mean.abs() + std * noise.abs())
    });
    bench.check(dispatch, [Output::matrix("z", &z, &values, &errors)])
}
