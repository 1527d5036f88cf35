//! Long short-term memories. The twin of `shaders/nn/recurrent/lstm.wgsl` and of the file below it.

use super::{RecurrentGradients, RecurrentValues};
use crate::Error;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const ADVANCE: Source = source!("nn/recurrent/lstm.wgsl");
const GO_BACK: Source = source!("nn/recurrent/lstm/backward.wgsl");

/// Records a position, after the product of its state: the gates, and the cell and the state after it.
///
/// `i, f, o = sigmoid(a + c)`, `g = tanh(a + c)`, `cell = f cell + i g`, `state = o tanh(cell)`
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
///
/// # Source
///
/// Hochreiter & Schmidhuber 1997; Gers et al. 2000.
pub(crate) fn advance(
    at: At<'_>,
    position: &Tensor,
    values: &RecurrentValues,
    starts_at_zero: bool,
) -> Result<Dispatch, Error> {
    let RecurrentValues { gates, product, state, previous, output, memory, .. } = values;
    let part = Part::new(ADVANCE)
        .flag("STARTS_AT_ZERO", starts_at_zero)
        .bind("position", position)
        .bind("product", product)
        .bind("gates", gates)
        .bind("state", state)
        .bind("previous", previous)
        .bind("output", output)
        .bind("cells", memory);
    at.launch(part, "advance")?.over([state.stride() / 4, state.rows(), 1])
}

/// Records the gradients of a position, after those of the positions that follow it.
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
pub(crate) fn go_back(
    at: At<'_>,
    position: &Tensor,
    values: &RecurrentValues,
    gradients: &RecurrentGradients,
) -> Result<Dispatch, Error> {
    let RecurrentGradients { doutput, dstate, dcell, dproduct } = gradients;
    let part = Part::new(GO_BACK)
        .bind("position", position)
        .bind("cells", &values.memory)
        .bind("doutput", doutput)
        .bind("gates", &values.gates)
        .bind("dstate", dstate)
        .bind("dcell", dcell)
        .bind("dproduct", dproduct);
    at.launch(part, "go_back")?.over([dstate.stride() / 4, dstate.rows(), 1])
}
