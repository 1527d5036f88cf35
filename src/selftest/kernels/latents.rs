//! The checks of `shaders/posterior/` and `shaders/prior/`.

use std::f64::consts::TAU;

use super::dense::backward_epilogue;
use super::objective::objectives;
use crate::Error;
use crate::gpu::{Part, Tensor};
use crate::posterior::LogvarRange;
use crate::posterior::normal::Draws;
use crate::prior::{KlEstimate, mixture, standard_normal};
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Operand, Output, UNTOUCHED};
use crate::selftest::reference::latents::{self as reference, Samples};
use crate::selftest::reference::mixture::log_posterior;
use crate::selftest::reference::{Matrix, noise};
use crate::selftest::tolerance::{self, DIVISION, NOISE, ULP};

/// Samples of each example, where there are several.
const SAMPLES: usize = 3;

/// A range that some of the log variances lie outside of.
pub const RANGE: LogvarRange = LogvarRange { min: -1.5, max: 0.75 };

/// What fills the slot `prior`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kl {
    ClosedForm,
    Sampled,
    Mixture,
}

const ESTIMATES: [Kl; 3] = [Kl::ClosedForm, Kl::Sampled, Kl::Mixture];

impl Kl {
    /// The part, which in a mixture's case reads the gradient by z from a tensor.
    fn part(self, dz: &Tensor) -> Part {
        match self {
            Kl::ClosedForm => standard_normal::kl(KlEstimate::ClosedForm),
            Kl::Sampled => standard_normal::kl(KlEstimate::Sampled),
            Kl::Mixture => mixture::part(dz),
        }
    }
}

/// Means and log variances: about zero for the most part, far out in every third row.
fn posterior(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(2 * bench.sizes.columns, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)
}

/// The posterior as the model sees it.
pub fn held(posterior: &Matrix, range: Option<LogvarRange>) -> Matrix {
    range.map_or_else(
        || posterior.clone(),
        |LogvarRange { min, max }| reference::hold_logvar(posterior, min.into(), max.into()),
    )
}

/// The gradient by the posterior as the encoder puts it out.
pub fn through(posterior: &Matrix, gradient: &Matrix, range: Option<LogvarRange>) -> Matrix {
    range.map_or_else(
        || gradient.clone(),
        |LogvarRange { min, max }| reference::through_hold(posterior, gradient, min.into(), max.into()),
    )
}

fn draws<'a>(
    bench: &'a Bench<'_>,
    samples: usize,
    logvar_range: Option<LogvarRange>,
    prior: &'a Part,
    posterior: &'a Operand,
    z: &'a Tensor,
) -> Draws<'a> {
    let (gpu, step, posterior) = (bench.gpu, &bench.step_tensor, &posterior.tensor);
    Draws { gpu, step, samples, logvar_range, prior, posterior, z }
}

/// The noise that belongs to the step, for so many samples of each example.
pub fn step_noise(bench: &Bench<'_>, first: u32, samples: usize) -> Matrix {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    let samples = first..first + samples as u32;
    noise::noise(bench.step.key, bench.step.t, bench.step.first, samples.clone(), rows * samples.len(), latents)
}

pub fn draw(bench: &mut Bench<'_>) -> Result<(), Error> {
    for (samples, range) in [(1, None), (SAMPLES, Some(RANGE))] {
        for estimate in ESTIMATES {
            draw_variant(bench, samples, range, estimate)?;
        }
    }
    Ok(())
}

fn draw_variant(bench: &mut Bench<'_>, samples: usize, range: Option<LogvarRange>, estimate: Kl) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    bench.samples = 1;
    let posterior = posterior(bench)?;
    bench.samples = samples;
    let (z, kl) = (bench.output(latents)?, bench.output(latents)?);
    let prior = estimate.part(&z);
    let dispatch = draws(bench, samples, range, &prior, &posterior, &z).draw(&kl)?;
    let noise = step_noise(bench, bench.step.sample, samples);
    let posterior = reference::repeat(&held(&posterior.values, range), samples);
    let draws = reference::reparameterise(&posterior, &noise);
    let draw_errors = Matrix::from_fn(draws.rows(), latents, |r, l| {
        let (mean, half_logvar) = (posterior.at(r, l), 0.5 * posterior.at(r, latents + l));
        let (std, noise) = (half_logvar.exp(), noise.at(r, l).abs());
        std * (NOISE + noise * (tolerance::exp(half_logvar) + ULP)) + ULP * (mean.abs() + std * noise)
    });
    let divergences = match estimate {
        Kl::ClosedForm => reference::kl(&posterior),
        Kl::Sampled => reference::kl_sampled(&posterior, &draws, &noise),
        Kl::Mixture => log_posterior(&posterior, &noise),
    };
    let divergence_errors = Matrix::from_fn(draws.rows(), latents, |r, l| {
        let (mean, logvar) = (posterior.at(r, l), posterior.at(r, latents + l));
        let (draw, noise) = (draws.at(r, l).abs(), noise.at(r, l).abs());
        match estimate {
            Kl::ClosedForm => {
                let magnitude = mean * mean + logvar.exp() + logvar.abs() + 1.0;
                0.5 * (tolerance::sum(4, magnitude) + logvar.exp() * tolerance::exp(logvar))
            }
            Kl::Mixture => {
                let magnitude = TAU.ln() + logvar.abs() + noise * noise;
                0.5 * tolerance::sum(4, magnitude) + noise * NOISE + 0.5 * NOISE * NOISE
            }
            Kl::Sampled => {
                let magnitude = draw * draw + noise * noise + logvar.abs();
                // What the squares make of the errors of the draw and of the noise.
                let squares = draw * draw_errors.at(r, l) + noise * NOISE;
                0.5 * tolerance::sum(4, magnitude) + squares + 0.5 * (draw_errors.at(r, l).powi(2) + NOISE * NOISE)
            }
        }
    });
    let outputs =
        [Output::matrix("z", &z, &draws, &draw_errors), Output::matrix("kl", &kl, &divergences, &divergence_errors)];
    bench.check_variant(&format!("{samples} samples, {estimate:?}"), dispatch, outputs)
}

pub fn backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    let kl_weight = f64::from(bench.step.kl_weight);
    for range in [None, Some(RANGE)] {
        let posterior = posterior(bench)?;
        let z = bench.input(latents, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)?;
        let dz = bench.input(latents, |draw, _| 3.0 * draw)?;
        // It writes word by word: the padding is not its business and stays zero.
        let dposterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
        let prior = standard_normal::kl(KlEstimate::ClosedForm);
        let epilogue = draws(bench, 1, range, &prior, &posterior, &z.tensor).backward_epilogue(&dposterior)?;
        let dispatch = backward_epilogue(bench, &z, &dz, &epilogue)?;
        let seen = held(&posterior.values, range);
        let of_draw = reference::reparameterise_backward(&seen, &z.values, &dz.values);
        let of_kl = reference::kl_backward(&seen, kl_weight);
        let values = through(&posterior.values, &of_draw.zip(&of_kl, |draw, kl| draw + kl), range);
        let errors = Matrix::from_fn(rows, 2 * latents, |b, c| {
            let (value, weight) = (seen.at(b, c), kl_weight / rows as f64);
            // The mean's gradient is dz as it is.
            let (draw_error, exp_error) = match c < latents {
                true => (0.0, 0.0),
                false => (2.0 * ULP * of_draw.at(b, c).abs(), value.exp() * (tolerance::exp(value) + ULP) + ULP),
            };
            let kl_error = of_kl.at(b, c).abs() * (DIVISION + 2.0 * ULP) + 0.5 * weight * exp_error;
            draw_error + kl_error + ULP * (of_draw.at(b, c).abs() + of_kl.at(b, c).abs())
        });
        let variant = if range.is_some() { "held" } else { "" };
        bench.check_variant(variant, dispatch, [Output::matrix("dposterior", &dposterior, &values, &errors)])?;
    }
    Ok(())
}

/// Every objective with either estimate of the KL divergence.
pub fn samples(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    for objective in objectives(bench, SAMPLES)? {
        for estimate in ESTIMATES {
            if objective.doubly && estimate == Kl::ClosedForm {
                continue;
            }
            bench.samples = 1;
            let posterior = bench.input(2 * latents, |draw, row| [1.0, 4.0, 8.0][row % 3] * draw)?;
            let dposterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
            bench.samples = SAMPLES;
            let z = bench.input(latents, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)?;
            let dz = bench.input(latents, |draw, _| 3.0 * draw)?;
            let pull = bench.input(latents, |draw, _| 9.0 * draw)?;
            let prior = estimate.part(&pull.tensor);
            let kl_dz = match estimate {
                Kl::ClosedForm => None,
                Kl::Sampled => Some(&z.values),
                Kl::Mixture => Some(&pull.values),
            };
            let draws = draws(bench, SAMPLES, Some(RANGE), &prior, &posterior, &z.tensor);
            let dispatch = draws.backward(&objective.part, &dz.tensor, &dposterior)?;
            let seen = held(&posterior.values, Some(RANGE));
            let kl_weight = Matrix::from_fn(rows * SAMPLES, latents, |r, l| objective.kl_weight(r, l));
            let doubly = objective.doubly.then_some(&objective.draw_weights[..]);
            let gradient = |posterior: &Matrix, z: &Matrix, dz: &Matrix| {
                reference::samples_backward(&Samples { posterior, z, dz, kl_weight: &kl_weight, kl_dz, doubly })
            };
            let values = through(&posterior.values, &gradient(&seen, &z.values, &dz.values), Some(RANGE));
            // As much as all terms can add up to: z - mean, z and logvar in magnitude, in range as they are.
            let errors = Matrix::from_fn(rows, 2 * latents, |b, c| {
                let l = c % latents;
                let (mean, logvar) = (seen.at(b, l).abs(), seen.at(b, latents + l));
                let of_row = |r: usize| {
                    let (w, draw) = (kl_weight.at(r, l).abs(), z.values.at(r, l).abs());
                    let (far, variance) = (draw + mean, logvar.exp().max((-logvar).exp()));
                    let kl_dz = kl_dz.map_or(0.0, |kl_dz| kl_dz.at(r, l).abs());
                    let g = dz.values.at(r, l).abs() + w * (kl_dz + far * variance);
                    (g + w * (mean + variance + 1.0)) * far.max(1.0)
                };
                let magnitude: f64 = (b * SAMPLES..(b + 1) * SAMPLES).map(of_row).sum();
                magnitude * (tolerance::sum(2 * SAMPLES + 10, 1.0) + tolerance::exp(logvar) + 2.0 * DIVISION)
            });
            let variant = format!("{}, {estimate:?}", objective.name);
            bench.check_variant(&variant, dispatch, [Output::matrix("dposterior", &dposterior, &values, &errors)])?;
        }
    }
    Ok(())
}

pub fn sample(bench: &mut Bench<'_>) -> Result<(), Error> {
    let z = bench.output(bench.sizes.columns)?;
    let dispatch = standard_normal::sample(bench.gpu, &bench.step_tensor, &z)?;
    let values = step_noise(bench, 0, 1);
    let errors = values.map(|_| NOISE);
    bench.check(dispatch, [Output::matrix("z", &z, &values, &errors)])
}
