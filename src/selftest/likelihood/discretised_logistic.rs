//! The self-test of `shaders/likelihood/discretised_logistic.wgsl` and of the files below it.

use super::{Given, Share, levels, outputs, pixels};
use crate::Error;
use crate::likelihood::discretised_logistic::DiscretisedLogistic;
use crate::selftest::Checks;
use crate::selftest::bench::{Bench, SAMPLES};
use crate::selftest::nn::activation::{sigmoid, sigmoid_error, softplus, softplus_error};
use crate::selftest::tolerance::{self, DIVISION, ULP};

pub(super) const CHECKS: Checks = &[
    ("likelihood/discretised_logistic.wgsl", check_log_prob),
    ("likelihood/pixels.wgsl:show, discretised_logistic", check_pixels),
];

/// Outputs: means and raw scales.
const SIZES: [f32; 3] = [1.0, 4.0, 30.0];

/// `log s = max(raw + log(0.1), -7)`
pub fn log_scale(raw: f64) -> f64 {
    (raw + 0.1f64.ln()).max(-7.0)
}

/// A dimension with the log probability `log(F(a) - F(b))`, where `F` is the sigmoid, and 1 or 0 beyond the edges.
pub fn share(x: f64, [mean, raw]: [f64; 2]) -> Share {
    let s = log_scale(raw).exp();
    let (a, b) = ((x - mean + 1.0 / 510.0) / s, (x - mean - 1.0 / 510.0) / s);
    let delta = 1.0 / (255.0 * s);
    let level = (255.0 * x).round();
    let (log_prob, by_mean, by_scale) = match level {
        0.0 => (-softplus(-a), -sigmoid(-a) / s, -a * sigmoid(-a)),
        255.0 => (-softplus(b), sigmoid(b) / s, b * sigmoid(b)),
        _ => (
            -softplus(-a) - softplus(b) + (-(-delta).exp_m1()).ln(),
            (sigmoid(b) - sigmoid(-a)) / s,
            b * sigmoid(b) - a * sigmoid(-a) - delta / delta.exp_m1(),
        ),
    };
    let is_clamped = raw + 0.1f64.ln() < -7.0;
    Share { log_prob, slopes: [by_mean, if is_clamped { 0.0 } else { by_scale }] }
}

/// The mean of the levels, each weighted by its probability.
fn mean(output: [f64; 2]) -> f64 {
    (0..256).map(|k| f64::from(k) / 255.0).map(|x| x * share(x, output).log_prob.exp()).sum()
}

/// The error of the log scale, and the relative error of the scale or its inverse.
fn scale_errors(raw: f64) -> (f64, f64) {
    let log_scale = log_scale(raw);
    let error = ULP * (raw.abs() + 2.0 * log_scale.abs() + 3.0);
    (error, tolerance::exp(log_scale) + error)
}

/// How far a share may be off, to first order in the errors of `-a` and `b`.
fn errors(x: f64, [mean, raw]: [f64; 2], share: Share) -> Share {
    let (log_scale_error, relative) = scale_errors(raw);
    let log_scale = log_scale(raw);
    let inverse = (-log_scale).exp();
    let delta = inverse / 255.0;
    let (mut log_prob, mut by_mean, mut by_scale) = (0.0, 0.0, 0.0);
    for end in [-(x - mean + 1.0 / 510.0) * inverse, (x - mean - 1.0 / 510.0) * inverse] {
        let error = end.abs() * (relative + ULP) + 3.0 * ULP * inverse * (x + mean.abs() + 0.01);
        let (slope, curve) = (sigmoid(end), sigmoid(end) * sigmoid(-end));
        let slope_error = sigmoid_error(end) + curve * error;
        log_prob += softplus_error(end) + slope * error + 3.0 * ULP * softplus(end);
        by_mean += inverse * (slope_error + 2.0 * ULP * slope);
        by_scale += end.abs() * slope_error + slope * error + 3.0 * ULP * end.abs() * slope;
    }
    let gone = (-delta).exp();
    // With the series: its remainder and its roundings. Without it: 1 - exp(-delta) and its logarithm.
    let series = log_scale_error + 3.0 * ULP * (8.0 + log_scale.abs()) + 1e-7;
    let difference = gone * (tolerance::exp(delta) + delta * relative) + 2.0 * ULP;
    let plain = difference / (1.0 - gone) + tolerance::log(1.0);
    log_prob += series + if delta > 0.49 { plain } else { 0.0 };
    by_mean += share.slopes[0].abs() * (relative + 2.0 * ULP);
    by_scale += 1e-7 + 8.0 * ULP + delta * relative;
    by_scale += if delta > 0.49 { delta * gone * difference / (1.0 - gone).powi(2) + DIVISION } else { 0.0 };
    Share { log_prob, slopes: [by_mean, by_scale] }
}

fn check_log_prob(bench: &mut Bench<'_>) -> Result<(), Error> {
    let x = levels(bench, 256)?;
    bench.samples = SAMPLES;
    let (given, outputs) = (Given::new(bench, Box::new(DiscretisedLogistic))?, outputs(bench, 2, SIZES)?);
    given.check_pairs(bench, [&x, &outputs], &share, &errors)
}

fn check_pixels(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (given, outputs) = (Given::new(bench, Box::new(DiscretisedLogistic))?, outputs(bench, 2, SIZES)?);
    pixels::check_mean(bench, &given, &outputs, &|output, _| {
        let (mean, relative) = (output[0], scale_errors(output[1]).1);
        let inverse = (-log_scale(output[1])).exp();
        let error = |k: u32| {
            let end = (mean - (f64::from(k) - 0.5) / 255.0) * inverse;
            let end_error = end.abs() * (relative + ULP) + (DIVISION + 2.0 * ULP) * inverse * (mean.abs() + 1.0);
            sigmoid_error(end) + sigmoid(end) * sigmoid(-end) * end_error
        };
        let value = self::mean([output[0], output[1]]);
        (value, (1..256).map(error).sum::<f64>() / 255.0 + tolerance::sum(256, value) + DIVISION * value)
    })?;
    pixels::check_draw(bench, &given, &outputs, &|output, random| {
        let u = (f64::from(random.words(0)[0] >> 9) + 0.5) / f64::from(1 << 23);
        let s = log_scale(output[1]).exp();
        let (below, above) = (u.ln(), (1.0 - u).ln());
        let logit_error = tolerance::log(below) + tolerance::log(above) + ULP * (below - above).abs();
        let x = output[0] + s * (below - above);
        let error = s * (logit_error + (below - above).abs() * (scale_errors(output[1]).1 + ULP));
        let error = error + 2.0 * ULP * (output[0].abs() + x.abs() + 1.0);
        let level = |x: f64| (255.0 * x).round().clamp(0.0, 255.0) / 255.0;
        (level(x), level(x + error) - level(x - error) + DIVISION * level(x))
    })
}
