//! The checks of `shaders/posterior/normal.wgsl` and `shaders/prior/standard_normal.wgsl`.

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

pub fn reparameterise(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    let posterior = posterior(bench)?;
    let z = bench.output(latents)?;
    let dispatch = normal::reparameterise(bench.gpu, &bench.step_tensor, &posterior.tensor, &z)?;
    let noise = step_noise(bench);
    let values = reference::reparameterise(&posterior.values, &noise);
    let errors = Matrix::from_fn(values.rows(), latents, |b, l| {
        let (mean, half_logvar) = (posterior.values.at(b, l), 0.5 * posterior.values.at(b, latents + l));
        let (std, noise) = (half_logvar.exp(), noise.at(b, l).abs());
        std * (NOISE + noise * (tolerance::exp(half_logvar) + ULP)) + ULP * (mean.abs() + std * noise)
    });
    bench.check(dispatch, [Output::matrix("z", &z, &values, &errors)])
}

pub fn reparameterise_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    let posterior = posterior(bench)?;
    let dz = bench.input(latents, |draw, _| 3.0 * draw)?;
    // It writes word by word: the padding is not its business and stays zero.
    let dposterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
    let step = &bench.step_tensor;
    let dispatch = normal::reparameterise_backward(bench.gpu, step, &posterior.tensor, &dz.tensor, &dposterior)?;
    let noise = step_noise(bench);
    let values = reference::reparameterise_backward(&posterior.values, &noise, &dz.values);
    let errors = Matrix::from_fn(values.rows(), 2 * latents, |b, c| match c.checked_sub(latents) {
        // The mean's gradient is a copy.
        None => 0.0,
        Some(l) => {
            let half_logvar = 0.5 * posterior.values.at(b, c);
            let noise_error = NOISE + noise.at(b, l).abs() * (tolerance::exp(half_logvar) + 3.0 * ULP);
            dz.values.at(b, l).abs() * 0.5 * half_logvar.exp() * noise_error
        }
    });
    bench.check(dispatch, [Output::matrix("dposterior", &dposterior, &values, &errors)])
}

pub fn kl(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    let posterior = posterior(bench)?;
    let kl = bench.vector_output()?;
    let dispatch = standard_normal::kl(bench.gpu, &bench.step_tensor, &posterior.tensor, &kl)?;
    let values = reference::kl(&posterior.values);
    let errors = Matrix::from_fn(1, values.columns(), |_, b| {
        let (mean, logvar) = posterior.values.row(b).split_at(latents);
        let magnitude: f64 = mean.iter().zip(logvar).map(|(m, s)| m * m + s.exp() + s.abs() + 1.0).sum();
        let exp_error: f64 = logvar.iter().map(|s| s.exp() * tolerance::exp(*s)).sum();
        0.5 * (tolerance::sum(4 * latents, magnitude) + exp_error)
    });
    bench.check(dispatch, [Output::vector("kl", &kl, &values, &errors)])
}

pub fn kl_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    let kl_weight = f64::from(bench.step.kl_weight);
    let posterior = posterior(bench)?;
    let dposterior = bench.in_place(2 * latents, |draw, _| draw)?;
    let dispatch = standard_normal::kl_backward(bench.gpu, &bench.step_tensor, &posterior.tensor, &dposterior.tensor)?;
    let added = reference::kl_backward(&posterior.values, kl_weight);
    let values = dposterior.values.zip(&added, |before, added| before + added);
    let errors = Matrix::from_fn(rows, 2 * latents, |b, c| {
        let (added, value) = (added.at(b, c), posterior.values.at(b, c));
        let exp_error = if c < latents { 0.0 } else { value.exp() * (tolerance::exp(value) + ULP) + ULP };
        added.abs() * (DIVISION + 2.0 * ULP) + 0.5 * kl_weight / rows as f64 * exp_error + ULP * values.at(b, c).abs()
    });
    bench.check(dispatch, [Output::matrix("dposterior", &dposterior.tensor, &values, &errors)])
}

pub fn sample(bench: &mut Bench<'_>) -> Result<(), Error> {
    let z = bench.output(bench.sizes.columns)?;
    let dispatch = standard_normal::sample(bench.gpu, &bench.step_tensor, &z)?;
    let values = step_noise(bench);
    let errors = values.map(|_| NOISE);
    bench.check(dispatch, [Output::matrix("z", &z, &values, &errors)])
}
