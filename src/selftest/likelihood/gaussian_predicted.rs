//! The self-test of `shaders/likelihood/gaussian_predicted.wgsl` and of the files below it.

use std::f64::consts::TAU;

use super::{Given, Share, VARIANCE, grey, outputs, pixels};
use crate::Error;
use crate::likelihood::gaussian_predicted::GaussianPredicted;
use crate::selftest::Checks;
use crate::selftest::bench::{Bench, SAMPLES};
use crate::selftest::nn::activation::{sigmoid, sigmoid_error, softplus, softplus_error};
use crate::selftest::tolerance::{self, ULP};

pub(super) const CHECKS: Checks = &[
    ("likelihood/gaussian_predicted.wgsl", check_log_prob),
    ("likelihood/pixels.wgsl:show, gaussian_predicted", check_pixels),
];

/// Outputs: means and raw log variances.
const SIZES: [f32; 3] = [1.0, 4.0, 30.0];

/// The number that is added to `raw` so that 0 gives this variance.
fn shift(variance: f64) -> f64 {
    (variance / 1e-4).ln().exp_m1().ln()
}

/// `logvar = log(1e-4) + softplus(raw + shift)`
pub fn logvar(raw: f64, variance: f64) -> f64 {
    1e-4f64.ln() + softplus(raw + shift(variance))
}

/// A dimension with the log probability `-1/2 * (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`
pub fn share(x: f64, [mean, raw]: [f64; 2], variance: f64) -> Share {
    let logvar = self::logvar(raw, variance);
    let square = (x - mean).powi(2) * (-logvar).exp();
    Share {
        log_prob: -0.5 * (TAU.ln() + logvar + square),
        slopes: [(x - mean) * (-logvar).exp(), -0.5 * (1.0 - square) * sigmoid(raw + shift(variance))],
    }
}

/// The error of the predicted log variance, and the relative error of `exp(-logvar / 2)`.
fn logvar_errors(raw: f64) -> (f64, f64) {
    let (shift, logvar) = (shift(VARIANCE.into()), logvar(raw, VARIANCE.into()));
    let shifted = raw + shift;
    let argument = ULP * (shifted.abs() + shift);
    let error = softplus_error(shifted) + argument + ULP * (logvar.abs() + 10.0);
    (error, tolerance::exp(0.5 * logvar) + 0.5 * error)
}

/// How far a share may be off.
fn errors(x: f64, [mean, raw]: [f64; 2], share: Share) -> Share {
    let (logvar_error, relative) = logvar_errors(raw);
    let logvar = logvar(raw, VARIANCE.into());
    let square = (x - mean).powi(2) * (-logvar).exp();
    let square_error = square * (2.0 * relative + 5.0 * ULP);
    let shifted = raw + shift(VARIANCE.into());
    let slope = sigmoid(shifted);
    let slope_error = sigmoid_error(shifted) + ULP * slope * (shifted.abs() + 8.0);
    let by_raw = 0.5 * (square_error + 2.0 * ULP * (1.0 + square)) * slope + 0.5 * (1.0 - square).abs() * slope_error;
    Share {
        log_prob: 0.5 * (logvar_error + square_error) + 3.0 * ULP * (2.0 + logvar.abs() + square),
        slopes: [share.slopes[0].abs() * (2.0 * relative + 5.0 * ULP), by_raw],
    }
}

fn gaussian_predicted(bench: &Bench<'_>) -> Result<Given, Error> {
    Given::new(bench, Box::new(GaussianPredicted { variance: VARIANCE }))
}

fn check_log_prob(bench: &mut Bench<'_>) -> Result<(), Error> {
    let x = grey(bench)?;
    bench.samples = SAMPLES;
    let (given, outputs) = (gaussian_predicted(bench)?, outputs(bench, 2, SIZES)?);
    given.check_pairs(bench, [&x, &outputs], &|x, outputs| share(x, outputs, VARIANCE.into()), &errors)
}

fn check_pixels(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (given, outputs) = (gaussian_predicted(bench)?, outputs(bench, 2, SIZES)?);
    pixels::check_mean(bench, &given, &outputs, &|output, _| (output[0], 0.0))?;
    pixels::check_draw(bench, &given, &outputs, &|output, random| {
        let logvar = logvar(output[1], VARIANCE.into());
        pixels::normal(output[0], logvar, logvar_errors(output[1]).0, random)
    })
}
