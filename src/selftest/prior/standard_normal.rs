//! The self-test of `shaders/prior/standard_normal.wgsl` and of the files below it.
//!
//! The part in the slot `prior` is checked with the kernels of the posterior.

use crate::Error;
use crate::prior::standard_normal;
use crate::selftest::bench::{Bench, Output};
use crate::selftest::tolerance::{self, NOISE};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks = &[("prior/standard_normal/draw.wgsl:draw", check_prior_draw)];

/// `kl[b, l] = 1/2 * (mean^2 + exp(logvar) - logvar - 1)`
pub fn kl(posterior: &Matrix) -> Matrix {
    let latents = posterior.columns() / 2;
    Matrix::from_fn(posterior.rows(), latents, |b, l| {
        let (mean, logvar) = (posterior.at(b, l), posterior.at(b, latents + l));
        0.5 * (mean * mean + (logvar.exp_m1() - logvar))
    })
}

/// How far [`kl`] may be off.
pub(super) fn kl_error(mean: f64, logvar: f64) -> f64 {
    let magnitude = mean * mean + logvar.exp() + logvar.abs() + 1.0;
    0.5 * (tolerance::sum(4, magnitude) + logvar.exp() * tolerance::exp(logvar))
}

/// The KL term's part of the gradient: `w * mean` and `w * (exp(logvar) - 1) / 2`, `w = kl_weight / rows`.
pub fn kl_backward(posterior: &Matrix, kl_weight: f64) -> Matrix {
    let latents = posterior.columns() / 2;
    let weight = kl_weight / posterior.rows() as f64;
    Matrix::from_fn(posterior.rows(), 2 * latents, |b, c| {
        let value = posterior.at(b, c);
        weight * if c < latents { value } else { 0.5 * value.exp_m1() }
    })
}

/// The sample estimate `kl[r, l] = log q(z|x) - log p(z) = 1/2 * (z^2 - noise^2 - logvar)`
pub fn kl_sampled(posterior: &Matrix, z: &Matrix, noise: &Matrix) -> Matrix {
    let latents = z.columns();
    Matrix::from_fn(z.rows(), latents, |r, l| {
        0.5 * (z.at(r, l).powi(2) - noise.at(r, l).powi(2) - posterior.at(r, latents + l))
    })
}

/// How far [`kl_sampled`] may be off, from the magnitudes of the noise and of the draw, and the draw's error.
pub(super) fn kl_sampled_error(logvar: f64, noise: f64, draw: f64, draw_error: f64) -> f64 {
    let magnitude = draw * draw + noise * noise + logvar.abs();
    // The squares spread the errors of the draw and of the noise.
    let squares = draw * draw_error + noise * NOISE;
    0.5 * tolerance::sum(4, magnitude) + squares + 0.5 * (draw_error.powi(2) + NOISE * NOISE)
}

fn check_prior_draw(bench: &mut Bench<'_>) -> Result<(), Error> {
    let z = bench.output(bench.sizes.columns)?;
    let dispatch = standard_normal::sample(bench.at(), &z)?;
    let values = bench.noise(0, 1);
    let errors = values.map(|_| NOISE);
    bench.check(dispatch, [Output::matrix("z", &z, &values, &errors)])
}
