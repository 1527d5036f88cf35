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
