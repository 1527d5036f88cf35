//! The self-test of `shaders/nn/`.

pub mod activation;
pub mod convolution;
pub mod dense;
pub(super) mod epilogue;
pub mod normalise;
pub(super) mod resize;
pub(super) mod sum;

use super::Checks;

pub(super) const CHECKS: &[Checks] = &[
    dense::CHECKS,
    convolution::CHECKS,
    activation::CHECKS,
    normalise::batch::CHECKS,
    normalise::layer::CHECKS,
    resize::CHECKS,
    sum::CHECKS,
];
