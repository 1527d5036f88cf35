//! The self-test of `shaders/gpu/`.

mod peak;

use super::Checks;

pub(super) const CHECKS: &[Checks] = &[peak::CHECKS];
