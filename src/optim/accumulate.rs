//! The sum of a batch's gradients over several steps. The twin of `shaders/optim/accumulate.wgsl`.

use super::same_length;
use crate::Error;
use crate::gpu::{Arena, Dispatch, Part, Source, source};
use crate::step::At;

const SOURCE: Source = source!("optim/accumulate.wgsl");

/// Records the addition of a step's gradients to those of its batch. The first step of a batch overwrites the total.
///
/// `total = share * gradients + total`, where `share` is the fraction of the batch's examples that this step has.
///
/// # Shapes
///
/// - `gradients`, `total`: arenas of the same tensors
///
/// # Errors
///
/// [`Error::Argument`] if the arenas differ in size.
pub fn accumulate(at: At<'_>, gradients: &Arena, total: &Arena) -> Result<Dispatch, Error> {
    let quads = same_length("adding up gradients", [gradients, total])? / 4;
    let part = Part::new(SOURCE).bind("gradients", gradients.whole()).bind("total", total.whole());
    at.launch(part, "accumulate")?.over_folded(quads)
}
