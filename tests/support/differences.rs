//! The comparison of gradients with central differences, and importance samples for which several tests need them.

use elbo::selftest::Matrix;
use elbo::selftest::objective::weighted;
use elbo::selftest::posterior::normal::{Samples, reparameterise, repeat, samples_backward};
use elbo::selftest::prior::standard_normal::kl_sampled;

/// A matrix of unrelated values from -`scale` to `scale`.
pub fn matrix(rows: usize, columns: usize, scale: f64, seed: usize) -> Matrix {
    Matrix::from_fn(rows, columns, |r, c| scale * (((seed * 31 + r) * 37 + c) as f64).powi(2).sin())
}

/// The sum of the products of elements in the same place.
pub fn sum_of_products(a: &Matrix, b: &Matrix) -> f64 {
    a.values().iter().zip(b.values()).map(|(a, b)| a * b).sum()
}

/// The mean over examples of the sum over a row.
pub fn mean(terms: &Matrix) -> f64 {
    terms.values().iter().sum::<f64>() / terms.rows() as f64
}

/// Each element as a function of its row, its column and itself.
pub fn map_elements(z: &Matrix, f: impl Fn(usize, usize, f64) -> f64) -> Matrix {
    Matrix::from_fn(z.rows(), z.columns(), |r, l| f(r, l, z.at(r, l)))
}

/// Compares a gradient with central differences: returns the first element that differs.
///
/// With a distance of `h = cbrt(epsilon)`, the formula's error, `h^2 f''' / 6`, and that of the rounding,
/// `epsilon |f| / h`, are both of the order of `epsilon^(2/3)`, 4e-11, times the size of `f` and its derivatives: a
/// hundred times that is allowed.
pub fn check(gradient: &Matrix, at: &Matrix, f: impl Fn(&Matrix) -> f64) -> Result<(), String> {
    assert_eq!((gradient.rows(), gradient.columns()), (at.rows(), at.columns()));
    let h = f64::EPSILON.cbrt();
    let steepest = gradient.values().iter().fold(1.0_f64, |most, value| most.max(value.abs()));
    let tolerance = 100.0 * f64::EPSILON.powf(2.0 / 3.0) * f(at).abs().max(steepest);
    for row in 0..at.rows() {
        for column in 0..at.columns() {
            let moved = |by: f64| {
                f(&Matrix::from_fn(at.rows(), at.columns(), |r, c| {
                    at.at(r, c) + if (r, c) == (row, column) { by } else { 0.0 }
                }))
            };
            let (found, expected) = (gradient.at(row, column), (moved(h) - moved(-h)) / (2.0 * h));
            // A NaN is no match either.
            if (found - expected).abs() <= tolerance {
                continue;
            }
            return Err(format!("[{row}, {column}]: {found} against {expected} by differences, within {tolerance:e}"));
        }
    }
    Ok(())
}

/// A smooth stand-in for the decoder and the likelihood: each row's log probability given its latents.
pub fn log_prob(z: &Matrix) -> Matrix {
    Matrix::from_fn(z.rows(), 1, |r, _| {
        (0..z.columns()).map(|l| -0.5 * (z.at(r, l) * (1.0 + 0.3 * l as f64) - 0.4 * r as f64).powi(2)).sum()
    })
}

/// The gradient of [`log_prob`].
fn log_prob_backward(z: &Matrix) -> Matrix {
    map_elements(z, |r, l, z| -(z * (1.0 + 0.3 * l as f64) - 0.4 * r as f64) * (1.0 + 0.3 * l as f64))
}

/// The samples of each example.
pub const SAMPLES: usize = 3;

/// The weight of the KL divergence.
pub const KL_WEIGHT: f64 = 0.7;

/// Two examples' posteriors and the noise of three samples of each.
pub fn importance_samples() -> (Matrix, Matrix) {
    (matrix(2, 8, 1.0, 5), matrix(2 * SAMPLES, 4, 1.5, 6))
}

/// Each row's log importance weight, of the samples that the posterior makes from the noise.
pub fn log_weights(posterior: &Matrix, noise: &Matrix) -> Vec<f64> {
    let posterior = repeat(posterior, SAMPLES);
    let z = reparameterise(&posterior, noise);
    weighted::log_weights(&log_prob(&z), &kl_sampled(&posterior, &z, noise), KL_WEIGHT)
}

/// The gradient, with respect to the posterior, of a loss in which each row's log weight has the given weight.
pub fn samples_gradient(
    posterior: &Matrix,
    noise: &Matrix,
    row_weights: &[f64],
    sampled: bool,
    doubly: bool,
) -> Matrix {
    let z = reparameterise(&repeat(posterior, SAMPLES), noise);
    let examples = posterior.rows() as f64;
    let dz = log_prob_backward(&z);
    let dz = map_elements(&z, |r, l, _| -dz.at(r, l) * row_weights[r] / examples);
    let kl_weight = map_elements(&z, |r, _, _| KL_WEIGHT * row_weights[r] / examples);
    let draw_weights: Vec<_> = row_weights.iter().map(|weight| 1.0 - KL_WEIGHT * (1.0 - weight)).collect();
    let doubly = doubly.then_some(&draw_weights[..]);
    let kl_dz = sampled.then_some(&z);
    let samples = Samples { posterior, z: &z, dz: &dz, kl_weight: &kl_weight, kl_dz, doubly };
    samples_backward(&samples)
}
