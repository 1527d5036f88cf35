//! The self-test of `shaders/posterior/normal.wgsl` and of the files below it.
//!
//! A posterior is `(B, 2L)`: the mean, then the log variance.

mod bottleneck;

use crate::Error;
use crate::gpu::Tensor;
use crate::posterior::normal::Normal;
use crate::posterior::{Draws, LogvarRange, Reparameterised};
use crate::prior::{self, KlEstimate};
use crate::selftest::bench::{Bench, Operand, Output, SAMPLES, UNTOUCHED};
use crate::selftest::logvar_range::{RANGE, clamped, through};
use crate::selftest::nan::Nan;
use crate::selftest::nn::epilogue;
use crate::selftest::objective::objectives;
use crate::selftest::prior::standard_normal::kl_backward;
use crate::selftest::prior::{Drawn, Kl};
use crate::selftest::tolerance::{self, DIVISION, NOISE, ULP};
use crate::selftest::{Checks, Matrix, Sizes};

pub(super) const CHECKS: Checks = &[
    ("posterior/normal.wgsl:draw", check_draw),
    ("posterior/normal/backward.wgsl", check_backward),
    ("posterior/normal/bottleneck.wgsl:forward", bottleneck::check),
    ("posterior/normal/bottleneck/backward.wgsl:backward", bottleneck::check_backward),
    ("posterior/normal/backward/general.wgsl:backward", check_samples),
    ("NaN, posterior/normal.wgsl:draw", check_nan),
];

/// `z[b, l] = mean[b, l] + exp(logvar[b, l] / 2) * noise[b, l]`
pub fn reparameterise(posterior: &Matrix, noise: &Matrix) -> Matrix {
    let latents = noise.columns();
    Matrix::from_fn(noise.rows(), latents, |b, l| {
        posterior.at(b, l) + (0.5 * posterior.at(b, latents + l)).exp() * noise.at(b, l)
    })
}

/// `dmean = dz`, `dlogvar = dz * (z - mean) / 2`, which is `dz * noise * exp(logvar / 2) / 2`
pub fn reparameterise_backward(posterior: &Matrix, z: &Matrix, dz: &Matrix) -> Matrix {
    let latents = z.columns();
    Matrix::from_fn(z.rows(), 2 * latents, |b, c| match c.checked_sub(latents) {
        None => dz.at(b, c),
        Some(l) => 0.5 * dz.at(b, l) * (z.at(b, l) - posterior.at(b, l)),
    })
}

/// Each row `samples` times, one after the other.
pub fn repeat(matrix: &Matrix, samples: usize) -> Matrix {
    Matrix::from_fn(matrix.rows() * samples, matrix.columns(), |r, c| matrix.at(r / samples, c))
}

/// The inputs of the gradient of the posterior. The samples of an example are consecutive rows.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// `(B, 2L)`
    pub posterior: &'a Matrix,
    /// `(B * K, L)`
    pub z: &'a Matrix,
    /// `(B * K, L)`: the gradient with respect to z of the rest of the loss
    pub dz: &'a Matrix,
    /// `(B * K, L)`: the weight of each latent's KL divergence in the loss
    pub kl_weight: &'a Matrix,
    /// `(B * K, L)`: the gradient with respect to z of the KL divergence's sample estimate; without it, the divergence
    /// is that to the standard normal prior, in closed form.
    pub kl_dz: Option<&'a Matrix>,
    /// Each row's further weight in the doubly reparameterised gradient: `1 - kl_weight * (1 - importance weight)`.
    pub doubly: Option<&'a [f64]>,
}

/// The gradient of the posterior, `(B, 2L)`, with the KL divergence from a prior.
///
/// In closed form, `w * mean` and `w * (exp(logvar) - 1) / 2` go to the mean and the log variance. The sample estimate gives
/// `w * kl_dz` to z and `-w / 2` to the log variance. Doubly reparameterised, z gets
/// `v * (dz + w * (kl_dz - (z - mean) / var))`.
pub fn samples_backward(rows: &Samples<'_>) -> Matrix {
    let Samples { posterior, z, dz, kl_weight, kl_dz, doubly } = rows;
    let latents = z.columns();
    let samples = z.rows() / posterior.rows();
    Matrix::from_fn(posterior.rows(), 2 * latents, |b, c| {
        let l = c % latents;
        let (mean, logvar) = (posterior.at(b, l), posterior.at(b, latents + l));
        let of_row = |r: usize| {
            let (w, draw) = (kl_weight.at(r, l), z.at(r, l));
            let through = |dz: f64| if c < latents { dz } else { 0.5 * dz * (draw - mean) };
            let direct = match (kl_dz.is_some(), c < latents) {
                (true, true) => 0.0,
                (true, false) => -0.5,
                (false, true) => mean,
                (false, false) => 0.5 * logvar.exp_m1(),
            };
            let dz = dz.at(r, l) + kl_dz.map_or(0.0, |kl_dz| w * kl_dz.at(r, l));
            match doubly {
                Some(weights) => through(weights[r] * (dz - w * (draw - mean) * (-logvar).exp())),
                None => through(dz) + w * direct,
            }
        };
        (b * samples..(b + 1) * samples).map(of_row).sum()
    })
}

/// Draws means and log variances: about zero for the most part, far out in every third row.
fn posterior(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(2 * bench.sizes.columns, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)
}

fn check_draw(bench: &mut Bench<'_>) -> Result<(), Error> {
    for (samples, range) in [(1, None), (SAMPLES, Some(RANGE))] {
        for kl in Kl::ALL {
            check_draw_variant(bench, samples, range, kl)?;
        }
    }
    Ok(())
}

fn check_draw_variant(
    bench: &mut Bench<'_>,
    samples: usize,
    range: Option<LogvarRange>,
    estimate: Kl,
) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    bench.samples = 1;
    let posterior = posterior(bench)?;
    bench.samples = samples;
    let (z, kl) = (bench.output(latents)?, bench.output(latents)?);
    let prior = estimate.part(&z);
    let draws = Draws { prior: &prior, outputs: &posterior.tensor, z: &z };
    let dispatch = Normal { logvar_range: range }.draw(bench.at(), draws, &kl)?;
    let posterior = repeat(&clamped(&posterior.values, range), samples);
    let outputs = drawn(bench, &posterior, samples, estimate, [&z, &kl]);
    bench.check_variant(&format!("{samples} samples, {estimate:?}"), dispatch, outputs)
}

/// The draws from a posterior of as many rows, and their KL divergence.
fn drawn(bench: &Bench<'_>, posterior: &Matrix, samples: usize, estimate: Kl, [z, kl]: [&Tensor; 2]) -> [Output; 2] {
    let latents = z.columns();
    let noise = bench.noise(bench.step.first_sample, samples);
    let draws = reparameterise(posterior, &noise);
    let draw_errors = Matrix::from_fn(draws.rows(), latents, |r, l| {
        let (mean, half_logvar) = (posterior.at(r, l), 0.5 * posterior.at(r, latents + l));
        let (std, noise) = (half_logvar.exp(), noise.at(r, l).abs());
        std * (NOISE + noise * (tolerance::exp(half_logvar) + ULP)) + ULP * (mean.abs() + std * noise)
    });
    let drawn = Drawn { posterior, noise: &noise, z: &draws, z_errors: &draw_errors };
    [
        Output::matrix("z", z, &draws, &draw_errors),
        Output::matrix("kl", kl, &estimate.divergence(&drawn), &estimate.divergence_errors(&drawn)),
    ]
}

fn check_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    for range in [None, Some(RANGE)] {
        let posterior = posterior(bench)?;
        let z = bench.input(latents, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)?;
        let dz = bench.input(latents, |draw, _| 3.0 * draw)?;
        // The kernel writes word by word: it does not touch the padding, which stays zero.
        let dposterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
        let prior = prior::standard_normal::kl(KlEstimate::ClosedForm);
        let draws = Draws { prior: &prior, outputs: &posterior.tensor, z: &z.tensor };
        let part = Normal { logvar_range: range }.backward_epilogue(bench.at(), draws, &dposterior)?;
        let dispatches = epilogue::backward(bench, &z, &dz, &part)?;
        let no_errors = dz.values.map(|_| 0.0);
        let dposterior = passed_on(bench, [&posterior.values, &z.values], [&dz.values, &no_errors], range, &dposterior);
        let variant = if range.is_some() { "clamped" } else { "" };
        bench.check_variant(variant, dispatches, [dposterior])?;
    }
    Ok(())
}

/// The gradient of the posterior from `dz` and its errors, with the KL divergence in closed form.
fn passed_on(
    bench: &Bench<'_>,
    [posterior, z]: [&Matrix; 2],
    [dz, dz_errors]: [&Matrix; 2],
    range: Option<LogvarRange>,
    dposterior: &Tensor,
) -> Output {
    let (rows, latents) = (z.rows(), z.columns());
    let seen = clamped(posterior, range);
    let of_draw = reparameterise_backward(&seen, z, dz);
    let of_kl = kl_backward(&seen, bench.kl_weight());
    let values = through(posterior, &of_draw.zip(&of_kl, |draw, kl| draw + kl), range);
    let errors = Matrix::from_fn(rows, 2 * latents, |b, c| {
        let (value, weight) = (seen.at(b, c), bench.kl_weight() / rows as f64);
        let given = dz_errors.at(b, c % latents);
        // The mean's gradient is dz as it is.
        let (draw_error, exp_error) = match c.checked_sub(latents) {
            None => (given, 0.0),
            Some(l) => {
                let distance = (z.at(b, l) - seen.at(b, l)).abs();
                let rounding = 2.0 * ULP * of_draw.at(b, c).abs();
                (rounding + 0.5 * given * distance, value.exp() * (tolerance::exp(value) + ULP) + ULP)
            }
        };
        let kl_error = of_kl.at(b, c).abs() * (DIVISION + 2.0 * ULP) + 0.5 * weight * exp_error;
        draw_error + kl_error + ULP * (of_draw.at(b, c).abs() + of_kl.at(b, c).abs())
    });
    Output::matrix("dposterior", dposterior, &values, &errors)
}

/// Every objective with every estimate of the KL divergence.
fn check_samples(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    for objective in objectives(bench, SAMPLES)? {
        for estimate in Kl::ALL {
            if objective.is_doubly && estimate == Kl::ClosedForm {
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
            let kl_dz = estimate.dz(&z.values, &pull.values);
            let draws = Draws { prior: &prior, outputs: &posterior.tensor, z: &z.tensor };
            let normal = Normal { logvar_range: Some(RANGE) };
            let dispatch = normal.backward(bench.at(), draws, &objective.part, &dz.tensor, &dposterior)?;
            let seen = clamped(&posterior.values, Some(RANGE));
            let kl_weight = Matrix::from_fn(rows * SAMPLES, latents, |r, l| objective.kl_weight(r, l));
            let doubly = objective.is_doubly.then_some(&objective.draw_weights[..]);
            let gradient = |posterior: &Matrix, z: &Matrix, dz: &Matrix| {
                samples_backward(&Samples { posterior, z, dz, kl_weight: &kl_weight, kl_dz, doubly })
            };
            let values = through(&posterior.values, &gradient(&seen, &z.values, &dz.values), Some(RANGE));
            // The most that all terms can sum to: z - mean, z and logvar in magnitude, in range as they are.
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

/// In a mean and in a log variance, clamped and not.
fn check_nan(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    for (range, estimate) in [(None, KlEstimate::ClosedForm), (Some(RANGE), KlEstimate::Sampled)] {
        for column in [latents / 2, latents + latents / 2] {
            let input = &bench.input(2 * latents, |draw, _| 4.0 * draw)?;
            let (z, output) = (bench.output(latents)?, &bench.output(latents)?);
            let prior = prior::standard_normal::kl(estimate);
            let draws = Draws { prior: &prior, outputs: &input.tensor, z: &z };
            let dispatches = vec![Normal { logvar_range: range }.draw(bench.at(), draws, output)?];
            let variant = format!("{estimate:?}, {}", if column < latents { "mean" } else { "logvar" });
            let nan = Nan { input, column, name: "kl", output, reaches: &|l| l == latents / 2 };
            nan.check(bench, &variant, dispatches)?;
        }
    }
    Ok(())
}
