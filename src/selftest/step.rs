//! The self-test of `shaders/step/`.

mod metrics;

use super::Checks;

pub(super) const CHECKS: &[Checks] = &[metrics::CHECKS];
