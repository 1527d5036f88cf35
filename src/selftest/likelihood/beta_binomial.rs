//! The self-test of `shaders/likelihood/beta_binomial.wgsl` and of the files below it.

use super::{Given, Share, levels, outputs, pixels};
use crate::Error;
use crate::likelihood::beta_binomial::BetaBinomial;
use crate::selftest::Checks;
use crate::selftest::bench::{Bench, SAMPLES};
use crate::selftest::nn::activation::{sigmoid, sigmoid_error};
use crate::selftest::tolerance::{self, DIVISION, ULP};

pub(super) const CHECKS: Checks = &[
    ("likelihood/beta_binomial.wgsl:evaluate", check_evaluate),
    ("likelihood/pixels.wgsl:show, beta_binomial", check_pixels),
];

/// Outputs: logarithms of alpha and beta.
const SIZES: [f32; 3] = [2.0, 6.0, 9.0];

/// `digamma(z + k) - digamma(z)`
fn digamma_difference(z: f64, k: usize) -> f64 {
    (0..k).map(|i| 1.0 / (z + i as f64)).sum()
}

/// A dimension with the log probability `log(choose(255, k) * B(k + alpha, 255 - k + beta) / B(alpha, beta))` for the beta
/// function `B`, from gamma functions.
pub fn share(x: f64, raw: [f64; 2]) -> Share {
    let [alpha, beta] = raw.map(|raw| raw.clamp(-7.0, 7.0).exp());
    let k = (255.0 * x).round();
    let rising = |z: f64, k: f64| libm::lgamma(z + k) - libm::lgamma(z);
    let log_choose = libm::lgamma(256.0) - libm::lgamma(k + 1.0) - libm::lgamma(256.0 - k);
    let log_prob = log_choose + rising(alpha, k) + rising(beta, 255.0 - k) - rising(alpha + beta, 255.0);
    let common = digamma_difference(alpha + beta, 255);
    let slope = |raw: f64, z: f64, k: f64| match raw.abs() > 7.0 {
        true => 0.0,
        false => z * (digamma_difference(z, k as usize) - common),
    };
    Share { log_prob, slopes: [slope(raw[0], alpha, k), slope(raw[1], beta, 255.0 - k)] }
}

/// How far a share may be off, from the errors of the counts and of each term of the shader's formula.
fn errors(x: f64, raw: [f64; 2], share: Share) -> Share {
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
            let terms = digamma_difference(z, k as usize) + digamma_difference(both, 255);
            z * terms * relative
        }
    };
    Share { log_prob, slopes: [by(raw[0], counts[0], level), by(raw[1], counts[1], 255.0 - level)] }
}

fn check_evaluate(bench: &mut Bench<'_>) -> Result<(), Error> {
    let x = levels(bench, 256)?;
    bench.samples = SAMPLES;
    let (given, outputs) = (Given::new(bench, Box::new(BetaBinomial))?, outputs(bench, 2, SIZES)?);
    given.check_pairs(bench, [&x, &outputs], &share, &errors)
}

fn check_pixels(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (given, outputs) = (Given::new(bench, Box::new(BetaBinomial))?, outputs(bench, 2, SIZES)?);
    let clamped = |raw: f64| raw.clamp(-7.0, 7.0);
    pixels::check_mean(bench, &given, &outputs, &|raw, _| {
        let difference = clamped(raw[0]) - clamped(raw[1]);
        let error = sigmoid_error(difference) + sigmoid(difference) * ULP * difference.abs();
        (sigmoid(difference), error)
    })?;
    pixels::check_draw(bench, &given, &outputs, &|raw, random| {
        let [alpha, beta] = [clamped(raw[0]).exp(), clamped(raw[1]).exp()];
        let (mut level, mut allowed) = (0.0, 0.0);
        for ball in 0..255u32 {
            let (white, all) = (alpha + level, alpha + beta + f64::from(ball));
            let u = random.uniform(ball / 4, ball as usize % 4);
            // From here on the whole draw may differ.
            let close = (u * all - white).abs() <= (2.0 * tolerance::exp(7.0) + 6.0 * ULP) * white;
            allowed = if close { 1.0 } else { allowed };
            level += f64::from(u8::from(u * all < white));
        }
        (level / 255.0, allowed + DIVISION * level / 255.0)
    })
}
