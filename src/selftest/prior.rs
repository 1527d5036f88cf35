//! The self-test of `shaders/prior/`, and the parts in the slot `prior`, as the posterior's kernels see them.

pub mod mixture;
pub mod standard_normal;

use super::{Checks, Matrix};
use crate::gpu::{Part, Tensor};
use crate::prior::{self, KlEstimate};

pub(super) const CHECKS: &[Checks] = &[standard_normal::CHECKS, mixture::CHECKS];

/// The parts for the slot `prior`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kl {
    ClosedForm,
    Sampled,
    Mixture,
}

/// Draws `(rows, L)` from each row's posterior, `(rows, 2L)`, and the noise, `(rows, L)`.
pub(super) struct Drawn<'a> {
    pub posterior: &'a Matrix,
    pub noise: &'a Matrix,
    pub z: &'a Matrix,
    pub z_errors: &'a Matrix,
}

impl Kl {
    pub const ALL: [Kl; 3] = [Kl::ClosedForm, Kl::Sampled, Kl::Mixture];

    /// The part. That of a mixture reads the gradient with respect to z from a tensor.
    pub fn part(self, dz: &Tensor) -> Part {
        match self {
            Kl::ClosedForm => prior::standard_normal::kl(KlEstimate::ClosedForm),
            Kl::Sampled => prior::standard_normal::kl(KlEstimate::Sampled),
            Kl::Mixture => prior::mixture::part(dz),
        }
    }

    /// Each latent's term of the KL divergence, as the posterior's kernel stores it.
    pub fn divergence(self, drawn: &Drawn<'_>) -> Matrix {
        let Drawn { posterior, noise, z, .. } = drawn;
        match self {
            Kl::ClosedForm => standard_normal::kl(posterior),
            Kl::Sampled => standard_normal::kl_sampled(posterior, z, noise),
            Kl::Mixture => mixture::log_posterior(posterior, noise),
        }
    }

    /// How far each of these terms may be off.
    pub fn divergence_errors(self, drawn: &Drawn<'_>) -> Matrix {
        let Drawn { posterior, noise, z, z_errors } = drawn;
        let latents = z.columns();
        Matrix::from_fn(z.rows(), latents, |r, l| {
            let (mean, logvar, noise) = (posterior.at(r, l), posterior.at(r, latents + l), noise.at(r, l).abs());
            match self {
                Kl::ClosedForm => standard_normal::kl_error(mean, logvar),
                Kl::Sampled => standard_normal::kl_sampled_error(logvar, noise, z.at(r, l).abs(), z_errors.at(r, l)),
                Kl::Mixture => mixture::log_posterior_error(logvar, noise),
            }
        })
    }

    /// The gradient of the divergence with respect to z, if it depends on z; a mixture stores it.
    pub fn dz<'a>(self, z: &'a Matrix, stored: &'a Matrix) -> Option<&'a Matrix> {
        match self {
            Kl::ClosedForm => None,
            Kl::Sampled => Some(z),
            Kl::Mixture => Some(stored),
        }
    }
}
