//! The self-test of `shaders/nn/`.

pub mod activation;
pub mod dense;
pub(super) mod epilogue;
pub mod normalise;

use super::Checks;

pub(super) const CHECKS: &[Checks] =
    &[dense::CHECKS, activation::CHECKS, normalise::batch::CHECKS, normalise::layer::CHECKS];
