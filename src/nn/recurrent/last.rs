//! The last state of each sentence. The twin of `shaders/nn/recurrent/last.wgsl`.

use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("nn/recurrent/last.wgsl");

/// Records `last[b, part * H + h] = output[(lengths[b] - 1, b), h]`.
///
/// # Shapes
///
/// - `lengths`: `(B)`
/// - `output`: `(T * B, H)`
/// - `last`: `(B, parts * H)`
///
/// # Errors
///
/// [`Error::Argument`] if there is no such part.
pub fn take(at: At<'_>, lengths: &Tensor, output: &Tensor, last: &Tensor, part: usize) -> Result<Dispatch, Error> {
    check(lengths, output, last, part)?;
    let part = Part::new(SOURCE)
        .size("FIRST_QUAD", part * output.stride() / 4)
        .bind("lengths", lengths)
        .bind("output", output)
        .bind("last", last)
        .offer("DLAST_QUADS", last.stride() / 4)
        .offer("DOUTPUT_QUADS", output.stride() / 4);
    at.launch(part, "take")?.over([output.stride() / 4, last.rows(), 1])
}

/// Records the gradient with respect to the output from that with respect to a part of the last states: zero elsewhere.
///
/// # Shapes
///
/// - `lengths`: `(B)`
/// - `dlast`: `(B, parts * H)`
/// - `doutput`: `(T * B, H)`
///
/// # Errors
///
/// [`Error::Argument`] if there is no such part.
pub fn spread(at: At<'_>, lengths: &Tensor, dlast: &Tensor, doutput: &Tensor, part: usize) -> Result<Dispatch, Error> {
    check(lengths, doutput, dlast, part)?;
    let part = Part::new(SOURCE)
        .size("FIRST_QUAD", part * doutput.stride() / 4)
        .bind("lengths", lengths)
        .bind("dlast", dlast)
        .bind("doutput", doutput)
        .offer("LAST_QUADS", dlast.stride() / 4)
        .offer("OUTPUT_QUADS", doutput.stride() / 4);
    At { sequence: true, ..at }.launch(part, "spread")?.over([doutput.stride() / 4, doutput.rows(), 1])
}

/// Checks that a sequence has the columns of a part of the last states.
fn check(lengths: &Tensor, sequence: &Tensor, last: &Tensor, part: usize) -> Result<(), Error> {
    let columns = last.columns().max((part + 1) * sequence.columns());
    require_shapes("last states", [[lengths.columns(), columns]], [last.shape()])
}
