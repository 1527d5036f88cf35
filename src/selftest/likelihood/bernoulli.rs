//! The self-test of `shaders/likelihood/bernoulli.wgsl` and of the files below it.

use super::{Given, grey, outputs, pixels};
use crate::Error;
use crate::likelihood::Density;
use crate::likelihood::bernoulli::Bernoulli;
use crate::nn::Epilogue;
use crate::selftest::bench::{Bench, Output};
use crate::selftest::nn::activation::{sigmoid, sigmoid_error, softplus, softplus_error};
use crate::selftest::nn::epilogue;
use crate::selftest::tolerance::{self, DIVISION, ULP};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks = &[
    ("likelihood/bernoulli.wgsl", check_log_prob),
    ("likelihood/bernoulli/mean.wgsl", check_mean),
    ("likelihood/pixels.wgsl:show, bernoulli", check_pixels),
];

/// Logits: about zero, far out, or absurdly large.
const SIZES: [f32; 3] = [6.0, 100.0, 1e4];

/// Each dimension's share of the log probability: `x * logits - softplus(logits)`
pub fn log_prob(x: &Matrix, logits: &Matrix) -> Matrix {
    x.zip(logits, |x, l| x * l - softplus(l))
}

/// `dlogits = (sigmoid(logits) - x) / rows`
pub fn backward(x: &Matrix, logits: &Matrix) -> Matrix {
    let rows = x.rows() as f64;
    x.zip(logits, |x, l| (sigmoid(l) - x) / rows)
}

fn check_log_prob(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (x, logits) = (grey(bench)?, outputs(bench, 1, SIZES)?);
    let block = Epilogue::block(bench.gpu)?;
    let values = log_prob(&x.values, &logits.values).block_sums(block);
    let magnitudes = x.values.zip(&logits.values, |x, l| (x * l).abs() + softplus(l)).block_sums(block);
    let softplus_errors = logits.values.map(softplus_error).block_sums(block);
    let errors = magnitudes.zip(&softplus_errors, |magnitude, error| tolerance::sum(2 * block + 1, magnitude) + error);
    let gradients = backward(&x.values, &logits.values);
    let rows = bench.sizes.rows as f64;
    let gradient_errors =
        gradients.zip(&logits.values, |value, l| sigmoid_error(l) / rows + value.abs() * (DIVISION + ULP));
    let given = Given::new(bench, Box::new(Bernoulli))?;
    given.check(bench, [&x, &logits], [&values, &errors], [&gradients, &gradient_errors])
}

fn check_mean(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (logits, mean) = (outputs(bench, 1, SIZES)?, bench.output(bench.sizes.columns)?);
    let part = Bernoulli.mean(&mean).expect("the mean is a function of one output");
    let dispatches = epilogue::forward(bench, &logits, &part)?;
    let (values, errors) = (logits.values.map(sigmoid), logits.values.map(sigmoid_error));
    bench.check(dispatches, [Output::matrix("mean", &mean, &values, &errors)])
}

fn check_pixels(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (given, logits) = (Given::new(bench, Box::new(Bernoulli))?, outputs(bench, 1, SIZES)?);
    pixels::check_mean(bench, &given, &logits, &|logit, _| (sigmoid(logit[0]), sigmoid_error(logit[0])))?;
    pixels::check_draw(bench, &given, &logits, &|logit, random| {
        let (u, prob) = (random.uniform(0, 0), sigmoid(logit[0]));
        let close = (u - prob).abs() <= sigmoid_error(logit[0]);
        (f64::from(u8::from(u < prob)), f64::from(u8::from(close)))
    })
}
