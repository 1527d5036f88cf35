//! The self-test of `shaders/nn/`.

pub mod activation;
pub mod convolution;
pub mod dense;
pub(super) mod dilated;
pub(super) mod dropout;
pub(super) mod embedding;
pub(super) mod epilogue;
pub mod normalise;
pub mod recurrent;
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
    dilated::CHECKS,
    dilated::history::CHECKS,
    dilated::mean::CHECKS,
    dropout::CHECKS,
    embedding::CHECKS,
    recurrent::gru::CHECKS,
    recurrent::lstm::CHECKS,
    recurrent::last::CHECKS,
];
