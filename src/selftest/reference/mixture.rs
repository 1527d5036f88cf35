//! The references of `shaders/prior/mixture/`. Components are `(M, 2L)`: the means and then the log variances.

use std::f64::consts::TAU;

use super::Matrix;
use super::noise::threefry;

/// What a component's density takes that does not depend on z: the means, `exp(-v)`, and `-1/2 sum_l (log(2 pi) + v)`.
pub struct Prepared {
    /// `(M, L)`
    pub means: Matrix,
    /// `(M, L)`
    pub precisions: Matrix,
    /// `(M)`
    pub log_scales: Vec<f64>,
}

/// Takes components apart.
pub fn prepare(components: &Matrix) -> Prepared {
    let (count, latents) = (components.rows(), components.columns() / 2);
    let logvars = |c: usize| &components.row(c)[latents..];
    Prepared {
        means: Matrix::from_fn(count, latents, |c, l| components.at(c, l)),
        precisions: Matrix::from_fn(count, latents, |c, l| (-logvars(c)[l]).exp()),
        log_scales: (0..count).map(|c| -0.5 * logvars(c).iter().map(|v| TAU.ln() + v).sum::<f64>()).collect(),
    }
}

/// `scores[r, c] = log N(z[r]; m_c, exp(v_c))`
pub fn scores(z: &Matrix, prepared: &Prepared) -> Matrix {
    let Prepared { means, precisions, log_scales } = prepared;
    Matrix::from_fn(z.rows(), means.rows(), |r, c| {
        let square = |l: usize| (z.at(r, l) - means.at(c, l)).powi(2) * precisions.at(c, l);
        log_scales[c] - 0.5 * (0..z.columns()).map(square).sum::<f64>()
    })
}

/// Each row's largest score, and the sum of the exponentials relative to it.
fn sums(scores: &Matrix) -> impl Iterator<Item = (f64, f64)> {
    (0..scores.rows()).map(|r| {
        let largest = scores.row(r).iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (largest, scores.row(r).iter().map(|score| (score - largest).exp()).sum())
    })
}

/// `log p(z) = log 1/M sum_c exp(scores[r, c])` of each row.
pub fn log_prob(scores: &Matrix) -> Vec<f64> {
    sums(scores).map(|(largest, sum)| largest + sum.ln() - (scores.columns() as f64).ln()).collect()
}

/// Each component's share of a row's density.
pub fn responsibilities(scores: &Matrix) -> Matrix {
    let sums: Vec<_> = sums(scores).collect();
    Matrix::from_fn(scores.rows(), scores.columns(), |r, c| (scores.at(r, c) - sums[r].0).exp() / sums[r].1)
}

/// The gradient of `-log p(z)` by z: `sum_c responsibilities[r, c] (z[r, l] - m[c, l]) precisions[c, l]`
pub fn backward_z(z: &Matrix, prepared: &Prepared, responsibilities: &Matrix) -> Matrix {
    let Prepared { means, precisions, .. } = prepared;
    Matrix::from_fn(z.rows(), z.columns(), |r, l| {
        let pull = |c: usize| responsibilities.at(r, c) * (z.at(r, l) - means.at(c, l)) * precisions.at(c, l);
        (0..means.rows()).map(pull).sum()
    })
}

/// The gradient of `-sum_r weights[r] log p(z[r])` by the components.
pub fn backward_components(z: &Matrix, components: &Matrix, responsibilities: &Matrix, weights: &[f64]) -> Matrix {
    let latents = z.columns();
    Matrix::from_fn(components.rows(), 2 * latents, |c, column| {
        let l = column % latents;
        let (mean, precision) = (components.at(c, l), (-components.at(c, latents + l)).exp());
        let of_row = |r: usize| {
            let (share, offset) = (weights[r] * responsibilities.at(r, c), z.at(r, l) - mean);
            share * if column < latents { -offset * precision } else { -0.5 * (offset * offset * precision - 1.0) }
        };
        (0..z.rows()).map(of_row).sum()
    })
}

/// `log q(z|x)`, latent by latent, for draws that some noise made: `-1/2 (log(2 pi) + logvar + noise^2)`
pub fn log_posterior(posterior: &Matrix, noise: &Matrix) -> Matrix {
    let latents = noise.columns();
    Matrix::from_fn(noise.rows(), latents, |r, l| {
        -0.5 * (TAU.ln() + posterior.at(r, latents + l) + noise.at(r, l).powi(2))
    })
}

/// The component that a draw of `count` is from, for the example at `position` in step `t`.
pub fn choice(key: [u32; 4], position: u32, t: u32, count: usize) -> usize {
    let word = threefry(key, [u32::MAX, position, t, 0])[0];
    ((u64::from(word) * count as u64) >> 32) as usize
}
