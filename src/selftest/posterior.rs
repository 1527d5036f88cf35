//! The self-test of `shaders/posterior/`.

pub mod normal;

use super::Checks;

pub(super) const CHECKS: &[Checks] = &[normal::CHECKS];
