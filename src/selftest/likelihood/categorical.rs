//! The self-test of `shaders/likelihood/categorical.wgsl` and of the files below it.

use super::{CATEGORIES, Given, levels, outputs, pixels};
use crate::Error;
use crate::likelihood::categorical::Categorical;
use crate::selftest::bench::{Bench, SAMPLES};
use crate::selftest::tolerance::{self, DIVISION, ULP};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks = &[
    ("likelihood/categorical.wgsl:evaluate", check_evaluate),
    ("likelihood/pixels.wgsl:show, categorical", check_pixels),
];

/// Logits.
const SIZES: [f32; 3] = [3.0, 30.0, 1e4];

/// `softmax(logits)` of each dimension's categories.
pub fn probs(logits: &Matrix, categories: usize) -> Matrix {
    Matrix::from_fn(logits.rows(), logits.columns(), |r, c| {
        let own = &logits.row(r)[c / categories * categories..][..categories];
        let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (logits.at(r, c) - largest).exp() / own.iter().map(|l| (l - largest).exp()).sum::<f64>()
    })
}

/// The category of a pixel.
fn category(x: &Matrix, logits: &Matrix, row: usize, dimension: usize) -> usize {
    let categories = logits.columns() / x.columns();
    (x.at(row / (logits.rows() / x.rows()), dimension) * (categories - 1) as f64).round() as usize
}

/// `logits[k] - log sum_c exp(logits[c])` of each dimension
pub fn log_prob(x: &Matrix, logits: &Matrix) -> Matrix {
    let categories = logits.columns() / x.columns();
    Matrix::from_fn(logits.rows(), x.columns(), |r, d| {
        let own = &logits.row(r)[d * categories..][..categories];
        let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = own.iter().map(|l| (l - largest).exp()).sum();
        own[category(x, logits, r, d)] - largest - sum.ln()
    })
}

/// `dlogits = (softmax(logits) - onehot(k)) / rows`
pub fn backward(x: &Matrix, logits: &Matrix) -> Matrix {
    let categories = logits.columns() / x.columns();
    let probs = probs(logits, categories);
    Matrix::from_fn(logits.rows(), logits.columns(), |r, c| {
        let is_hit = category(x, logits, r, c / categories) == c % categories;
        (probs.at(r, c) - f64::from(u8::from(is_hit))) / logits.rows() as f64
    })
}

/// The relative error of each exponential of a dimension's logits less the largest of them, and of their sum.
pub(super) fn softmax_errors(logits: &[f64]) -> (Vec<f64>, f64) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let below = |logit: &f64| logit - largest;
    let relative = |logit: &f64| tolerance::exp(below(logit)) + ULP * below(logit).abs();
    let sum: f64 = logits.iter().map(|logit| below(logit).exp()).sum();
    let error: f64 = logits.iter().map(|logit| below(logit).exp() * relative(logit)).sum();
    (logits.iter().map(relative).collect(), error / sum + tolerance::sum(logits.len(), 1.0))
}

fn categorical(bench: &Bench<'_>) -> Result<Given, Error> {
    Given::new(bench, Box::new(Categorical { categories: CATEGORIES }))
}

fn check_evaluate(bench: &mut Bench<'_>) -> Result<(), Error> {
    let dimensions = bench.sizes.columns;
    let x = levels(bench, CATEGORIES)?;
    bench.samples = SAMPLES;
    let logits = outputs(bench, CATEGORIES, SIZES)?;
    let rows = logits.values.rows();
    let own = |r: usize, d: usize| &logits.values.row(r)[d * CATEGORIES..][..CATEGORIES];
    let values = log_prob(&x.values, &logits.values);
    let errors = Matrix::from_fn(rows, dimensions, |r, d| {
        3.0 * ULP * (values.at(r, d).abs() + 2.0) + softmax_errors(own(r, d)).1 + tolerance::log(1.1)
    });
    let (gradients, probs) = (backward(&x.values, &logits.values), probs(&logits.values, CATEGORIES));
    let gradient_errors = Matrix::from_fn(rows, dimensions * CATEGORIES, |r, c| {
        let (relative, sum) = softmax_errors(own(r, c / CATEGORIES));
        let prob = probs.at(r, c) * (relative[c % CATEGORIES] + sum + DIVISION);
        (prob + ULP) / rows as f64 + gradients.at(r, c).abs() * (DIVISION + ULP)
    });
    let given = categorical(bench)?;
    given.check(bench, [&x, &logits], [&values, &errors], [&gradients, &gradient_errors])
}

fn check_pixels(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (given, logits) = (categorical(bench)?, outputs(bench, CATEGORIES, SIZES)?);
    let highest = (CATEGORIES - 1) as f64;
    let probs = |logits: &[f64]| self::probs(&Matrix::vector(logits.to_vec()), CATEGORIES).values().to_vec();
    pixels::check_mean(bench, &given, &logits, &|logits, _| {
        let value: f64 = probs(logits).iter().enumerate().map(|(c, prob)| prob * c as f64 / highest).sum();
        let (relative, sum) = softmax_errors(logits);
        let shares = probs(logits).iter().zip(&relative).map(|(prob, error)| prob * error).sum::<f64>();
        (value, shares + value * (sum + DIVISION) + tolerance::sum(CATEGORIES + 3, value))
    })?;
    pixels::check_draw(bench, &given, &logits, &|logits, random| {
        let u = random.uniform(0, 0);
        let (probs, error) = (probs(logits), 2.0 * softmax_errors(logits).1 + 4.0 * ULP);
        let category = |u: f64| {
            let mut sum = 0.0;
            let ends = probs[..CATEGORIES - 1].iter().map(|prob| {
                sum += prob;
                sum
            });
            ends.filter(|end| u >= *end).count() as f64 / highest
        };
        (category(u), category(u + error) - category(u - error) + DIVISION * category(u))
    })
}
