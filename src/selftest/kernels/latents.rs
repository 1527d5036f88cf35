//! The checks of `shaders/posterior/` and `shaders/prior/`.

use super::dense::backward_epilogue;
use crate::Error;
use crate::posterior::normal;
use crate::prior::standard_normal;
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Operand, Output, UNTOUCHED};
use crate::selftest::reference::{Matrix, latents as reference, noise};
use crate::selftest::tolerance::{self, DIVISION, NOISE, ULP};

/// Means and log variances: about zero for the most part, far out in every third row.
fn posterior(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(2 * bench.sizes.columns, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)
}

/// The noise that belongs to the step.
fn step_noise(bench: &Bench<'_>) -> Matrix {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    noise::noise(bench.step.key, bench.step.t, bench.step.first, rows, latents)
}

pub fn draw(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    let posterior = posterior(bench)?;
    let (z, kl) = (bench.output(latents)?, bench.output(latents)?);
    let (step, prior) = (&bench.step_tensor, standard_normal::kl());
    let dispatch = normal::draw(bench.gpu, step, prior, &posterior.tensor, &z, &kl)?;
    let noise = step_noise(bench);
    let draws = reference::reparameterise(&posterior.values, &noise);
    let draw_errors = Matrix::from_fn(draws.rows(), latents, |b, l| {
        let (mean, half_logvar) = (posterior.values.at(b, l), 0.5 * posterior.values.at(b, latents + l));
        let (std, noise) = (half_logvar.exp(), noise.at(b, l).abs());
        std * (NOISE + noise * (tolerance::exp(half_logvar) + ULP)) + ULP * (mean.abs() + std * noise)
    });
    let divergences = reference::kl(&posterior.values);
    let divergence_errors = Matrix::from_fn(draws.rows(), latents, |b, l| {
        let (mean, logvar) = (posterior.values.at(b, l), posterior.values.at(b, latents + l));
        let magnitude = mean * mean + logvar.exp() + logvar.abs() + 1.0;
        0.5 * (tolerance::sum(4, magnitude) + logvar.exp() * tolerance::exp(logvar))
    });
    let outputs =
        [Output::matrix("z", &z, &draws, &draw_errors), Output::matrix("kl", &kl, &divergences, &divergence_errors)];
    bench.check(dispatch, outputs)
}

pub fn backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    let kl_weight = f64::from(bench.step.kl_weight);
    let posterior = posterior(bench)?;
    let z = bench.input(latents, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)?;
    let dz = bench.input(latents, |draw, _| 3.0 * draw)?;
    // It writes word by word: the padding is not its business and stays zero.
    let dposterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
    let epilogue = normal::backward(standard_normal::kl(), &posterior.tensor, &dposterior)?;
    let dispatch = backward_epilogue(bench, &z, &dz, &epilogue)?;
    let of_draw = reference::reparameterise_backward(&posterior.values, &z.values, &dz.values);
    let of_kl = reference::kl_backward(&posterior.values, kl_weight);
    let values = of_draw.zip(&of_kl, |draw, kl| draw + kl);
    let errors = Matrix::from_fn(rows, 2 * latents, |b, c| {
        let (value, weight) = (posterior.values.at(b, c), kl_weight / rows as f64);
        // The mean's gradient is dz as it is.
        let (draw_error, exp_error) = match c < latents {
            true => (0.0, 0.0),
            false => (2.0 * ULP * of_draw.at(b, c).abs(), value.exp() * (tolerance::exp(value) + ULP) + ULP),
        };
        let kl_error = of_kl.at(b, c).abs() * (DIVISION + 2.0 * ULP) + 0.5 * weight * exp_error;
        draw_error + kl_error + ULP * (of_draw.at(b, c).abs() + of_kl.at(b, c).abs())
    });
    bench.check(dispatch, [Output::matrix("dposterior", &dposterior, &values, &errors)])
}

pub fn sample(bench: &mut Bench<'_>) -> Result<(), Error> {
    let z = bench.output(bench.sizes.columns)?;
    let dispatch = standard_normal::sample(bench.gpu, &bench.step_tensor, &z)?;
    let values = step_noise(bench);
    let errors = values.map(|_| NOISE);
    bench.check(dispatch, [Output::matrix("z", &z, &values, &errors)])
}
