//! The sum of a batch's gradients over several steps. The twin of `shaders/optim/accumulate.wgsl`.

use super::pieces;
use crate::Error;
use crate::gpu::{Arena, Dispatch, Part, Source, Tensor, source};
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
pub fn accumulate(at: At<'_>, gradients: &Arena, total: &Arena) -> Result<Vec<Dispatch>, Error> {
    let accumulate = |[gradients, total]: [Tensor; 2]| {
        let part = Part::new(SOURCE).bind("gradients", &gradients).bind("total", &total);
        at.launch(part, "accumulate")?.over_folded(gradients.stride() / 4)
    };
    pieces("adding up gradients", at.gpu, [gradients, total])?.map(accumulate).collect()
}
