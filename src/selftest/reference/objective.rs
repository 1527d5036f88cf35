//! The references of `shaders/objective/`. Rows are importance samples, those of an example one after the other.

use super::Matrix;

/// The logarithm of each row's importance weight, `log_prob - kl_weight * kl`, from each row's parts of both.
pub fn log_weights(log_prob: &Matrix, kl: &Matrix, kl_weight: f64) -> Vec<f64> {
    let sum = |terms: &Matrix, row| terms.row(row).iter().sum::<f64>();
    (0..log_prob.rows()).map(|row| sum(log_prob, row) - kl_weight * sum(kl, row)).collect()
}

/// `log 1/K sum_k exp(log_weights[k])` of each example.
pub fn bounds(log_weights: &[f64], samples: usize) -> Vec<f64> {
    let bound = |own: &[f64]| {
        let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + (own.iter().map(|w| (w - largest).exp()).sum::<f64>() / samples as f64).ln()
    };
    log_weights.chunks(samples).map(bound).collect()
}

/// Each row's share of its example's weights, `exp(log_weights[k]) / sum_k exp(log_weights[k])`.
pub fn weights(log_weights: &[f64], samples: usize) -> Vec<f64> {
    let bounds = bounds(log_weights, samples);
    log_weights.iter().enumerate().map(|(row, w)| (w - bounds[row / samples]).exp() / samples as f64).collect()
}

/// The mean of each column over the rows.
fn column_means(kl: &Matrix) -> Vec<f64> {
    (0..kl.columns()).map(|l| (0..kl.rows()).map(|r| kl.at(r, l)).sum::<f64>() / kl.rows() as f64).collect()
}

/// `kl_weight * sum_l max(mean kl[l], free_bits)`, and its derivative by each latent's mean.
pub fn free_bits(kl: &Matrix, free_bits: f64, kl_weight: f64) -> (f64, Vec<f64>) {
    let means = column_means(kl);
    let weights = means.iter().map(|&mean| if mean > free_bits { kl_weight } else { 0.0 }).collect();
    (kl_weight * means.iter().map(|mean| mean.max(free_bits)).sum::<f64>(), weights)
}

/// `kl_weight * |sum_l mean kl[l] - capacity|`, and its derivative by each latent's mean.
pub fn capacity(kl: &Matrix, capacity: f64, kl_weight: f64) -> (f64, Vec<f64>) {
    let excess = column_means(kl).iter().sum::<f64>() - capacity;
    (kl_weight * excess.abs(), vec![kl_weight * excess.signum(); kl.columns()])
}
