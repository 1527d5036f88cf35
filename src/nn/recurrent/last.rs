//! The last state of each sentence. The twin of `shaders/nn/recurrent/last.wgsl`.

use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("nn/recurrent/last.wgsl");

/// Records `last[b, h] = output[(lengths[b] - 1, b), h]`.
///
/// # Shapes
///
/// - `lengths`: `(B)`
/// - `output`: `(T * B, H)`
/// - `last`: `(B, H)`
///
/// # Errors
///
/// [`Error::Argument`] if the columns differ.
pub fn take(at: At<'_>, lengths: &Tensor, output: &Tensor, last: &Tensor) -> Result<Dispatch, Error> {
    require_shapes("last states", [[lengths.columns(), output.columns()]], [last.shape()])?;
    let part = Part::new(SOURCE)
        .bind("lengths", lengths)
        .bind("output", output)
        .bind("last", last)
        .offer("DLAST_QUADS", last.stride() / 4);
    at.launch(part, "take")?.over([last.stride() / 4, last.rows(), 1])
}

/// Records the gradient with respect to the output from that with respect to the last states: zero elsewhere.
///
/// # Shapes
///
/// - `lengths`: `(B)`
/// - `dlast`: `(B, H)`
/// - `doutput`: `(T * B, H)`
///
/// # Errors
///
/// [`Error::Argument`] if the columns differ.
pub fn spread(at: At<'_>, lengths: &Tensor, dlast: &Tensor, doutput: &Tensor) -> Result<Dispatch, Error> {
    require_shapes("last states", [[lengths.columns(), doutput.columns()]], [dlast.shape()])?;
    let part = Part::new(SOURCE)
        .bind("lengths", lengths)
        .bind("dlast", dlast)
        .bind("doutput", doutput)
        .offer("LAST_QUADS", dlast.stride() / 4);
    At { sequence: true, ..at }.launch(part, "spread")?.over([doutput.stride() / 4, doutput.rows(), 1])
}
