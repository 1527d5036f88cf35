//! The self-test of `shaders/data/`.

mod batch;

use super::Checks;

pub(super) const CHECKS: &[Checks] = &[batch::CHECKS, batch::sentences::CHECKS];
