//! The self-test of `shaders/eval/`.

mod importance;
mod latents;

use super::Checks;

pub(super) const CHECKS: &[Checks] = &[importance::CHECKS, latents::CHECKS];
