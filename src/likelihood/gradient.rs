//! The gradient that a likelihood stores for the backward pass, if there is one. The twin of
//! `shaders/likelihood/gradient.wgsl` and of the file below it.

use super::Terms;
use crate::gpu::{Part, Source, source};

const KEPT: Source = source!("likelihood/gradient.wgsl");
const NONE: Source = source!("likelihood/gradient/none.wgsl");

/// The part for the slot `gradient` of a likelihood that is an epilogue.
pub(super) fn gradient(terms: Terms<'_>) -> Part {
    if terms.trains { Part::new(KEPT).bind("gradient", terms.output) } else { Part::new(NONE) }
}
