//! The references of `shaders/posterior/` and `shaders/prior/`.
//!
//! A posterior is `(B, 2L)`: the mean, then the log variance.

use super::Matrix;

/// `z[b, l] = mean[b, l] + exp(logvar[b, l] / 2) * noise[b, l]`
pub fn reparameterise(posterior: &Matrix, noise: &Matrix) -> Matrix {
    let latents = noise.columns();
    Matrix::from_fn(noise.rows(), latents, |b, l| {
        posterior.at(b, l) + (0.5 * posterior.at(b, latents + l)).exp() * noise.at(b, l)
    })
}

/// `dmean = dz`, `dlogvar = dz * (z - mean) / 2`, which is `dz * noise * exp(logvar / 2) / 2`
pub fn reparameterise_backward(posterior: &Matrix, z: &Matrix, dz: &Matrix) -> Matrix {
    let latents = z.columns();
    Matrix::from_fn(z.rows(), 2 * latents, |b, c| match c.checked_sub(latents) {
        None => dz.at(b, c),
        Some(l) => 0.5 * dz.at(b, l) * (z.at(b, l) - posterior.at(b, l)),
    })
}

/// `kl[b, l] = 1/2 * (mean^2 + exp(logvar) - logvar - 1)`
pub fn kl(posterior: &Matrix) -> Matrix {
    let latents = posterior.columns() / 2;
    Matrix::from_fn(posterior.rows(), latents, |b, l| {
        let (mean, logvar) = (posterior.at(b, l), posterior.at(b, latents + l));
        0.5 * (mean * mean + (logvar.exp_m1() - logvar))
    })
}

/// What the KL term adds to the gradient: `w * mean` and `w * (exp(logvar) - 1) / 2`, `w = kl_weight / rows`.
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

/// Each row `samples` times, one after the other.
pub fn repeat(matrix: &Matrix, samples: usize) -> Matrix {
    Matrix::from_fn(matrix.rows() * samples, matrix.columns(), |r, c| matrix.at(r / samples, c))
}

/// A posterior whose log variance is held between `min` and `max`.
pub fn hold_logvar(posterior: &Matrix, min: f64, max: f64) -> Matrix {
    let latents = posterior.columns() / 2;
    Matrix::from_fn(posterior.rows(), 2 * latents, |b, c| {
        let value = posterior.at(b, c);
        if c < latents { value } else { value.clamp(min, max) }
    })
}

/// The gradient by the posterior before its log variance was held.
pub fn through_hold(posterior: &Matrix, gradient: &Matrix, min: f64, max: f64) -> Matrix {
    let latents = posterior.columns() / 2;
    Matrix::from_fn(posterior.rows(), 2 * latents, |b, c| {
        let held = c >= latents && !(min..=max).contains(&posterior.at(b, c));
        if held { 0.0 } else { gradient.at(b, c) }
    })
}

/// What the gradient of the posterior is made of, row by row: an example's samples are one after the other.
pub struct Samples<'a> {
    /// `(B, 2L)`
    pub posterior: &'a Matrix,
    /// `(B * K, L)`
    pub z: &'a Matrix,
    /// `(B * K, L)`: the gradient by z of the rest of the loss
    pub dz: &'a Matrix,
    /// `(B * K, L)`: the weight of each latent's KL divergence in the loss
    pub kl_weight: &'a Matrix,
    /// `(B * K, L)`: the gradient by z of the KL divergence's sample estimate; it is that from the standard normal prior in
    /// closed form if there is none.
    pub kl_dz: Option<&'a Matrix>,
    /// What each row counts once more in the doubly reparameterised gradient: `1 - kl_weight * (1 - importance weight)`.
    pub doubly: Option<&'a [f64]>,
}

/// The gradient of the posterior, `(B, 2L)`, with the KL divergence from a prior.
///
/// In closed form, `w * mean` and `w * (exp(logvar) - 1) / 2` go to the mean and the log variance. The sample estimate gives
/// `w * kl_dz` to z and `-w / 2` to the log variance. Doubly reparameterised, z gets
/// `v * (dz + w * (kl_dz - (z - mean) / var))`.
pub fn samples_backward(rows: &Samples<'_>) -> Matrix {
    let Samples { posterior, z, dz, kl_weight, kl_dz, doubly } = rows;
    let latents = z.columns();
    let samples = z.rows() / posterior.rows();
    Matrix::from_fn(posterior.rows(), 2 * latents, |b, c| {
        let l = c % latents;
        let (mean, logvar) = (posterior.at(b, l), posterior.at(b, latents + l));
        let of_row = |r: usize| {
            let (w, draw) = (kl_weight.at(r, l), z.at(r, l));
            let through = |dz: f64| if c < latents { dz } else { 0.5 * dz * (draw - mean) };
            let direct = match (kl_dz.is_some(), c < latents) {
                (true, true) => 0.0,
                (true, false) => -0.5,
                (false, true) => mean,
                (false, false) => 0.5 * logvar.exp_m1(),
            };
            let dz = dz.at(r, l) + kl_dz.map_or(0.0, |kl_dz| w * kl_dz.at(r, l));
            match doubly {
                Some(weights) => through(weights[r] * (dz - w * (draw - mean) * (-logvar).exp())),
                None => through(dz) + w * direct,
            }
        };
        (b * samples..(b + 1) * samples).map(of_row).sum()
    })
}
