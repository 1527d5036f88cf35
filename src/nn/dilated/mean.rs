//! The mean over the positions of each sentence. The twin of `shaders/nn/dilated/mean.wgsl`.

use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("nn/dilated/mean.wgsl");

/// Records `mean[b, c] = sum of values[(p, b), c] over p < lengths[b] / lengths[b]`.
///
/// # Shapes
///
/// - `lengths`: `(B)`
/// - `values`: `(T * B, C)`
/// - `mean`: `(B, C)`
///
/// # Errors
///
/// [`Error::Argument`] if the tensors have other shapes.
pub fn average(at: At<'_>, lengths: &Tensor, values: &Tensor, mean: &Tensor) -> Result<Dispatch, Error> {
    require_shapes("a mean over positions", [[lengths.columns(), values.columns()]], [mean.shape()])?;
    let part = Part::new(SOURCE).bind("lengths", lengths).bind("values", values).bind("mean", mean);
    at.launch(part.offer("DVALUES_QUADS", values.stride() / 4), "average")?.over([values.stride() / 4, mean.rows(), 1])
}

/// Records the gradient with respect to the values: `dvalues[(p, b), c] = dmean[b, c] / lengths[b]`, zero past the sentence.
///
/// # Shapes
///
/// - `lengths`: `(B)`
/// - `dmean`: `(B, C)`
/// - `dvalues`: `(T * B, C)`
///
/// # Errors
///
/// [`Error::Argument`] if the tensors have other shapes.
pub fn share_out(at: At<'_>, lengths: &Tensor, dmean: &Tensor, dvalues: &Tensor) -> Result<Dispatch, Error> {
    require_shapes("a mean over positions", [[lengths.columns(), dvalues.columns()]], [dmean.shape()])?;
    let part = Part::new(SOURCE).bind("lengths", lengths).bind("dmean", dmean).bind("dvalues", dvalues);
    let part = part.offer("VALUES_QUADS", dvalues.stride() / 4);
    At { sequence: true, ..at }.launch(part, "share_out")?.over([dvalues.stride() / 4, dvalues.rows(), 1])
}
