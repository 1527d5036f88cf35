//! Gated recurrent units. The twin of `shaders/nn/recurrent/gru.wgsl` and of the file below it.

use super::{RecurrentGradients, RecurrentValues};
use crate::Error;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const ADVANCE: Source = source!("nn/recurrent/gru.wgsl");
const GO_BACK: Source = source!("nn/recurrent/gru/backward.wgsl");

/// Records a position, after the product of its state: the gates, and the state after it.
///
/// `r = sigmoid(a_r + c_r)`, `u = sigmoid(a_u + c_u)`, `n = tanh(a_n + r c_n)`, `state = (1 - u) n + u state`
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
///
/// # Source
///
/// Cho et al. 2014, with the reset gate after the product, as PyTorch has it.
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
        .bind("hidden", memory);
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
    let RecurrentGradients { doutput, dstate, dproduct, .. } = gradients;
    let part = Part::new(GO_BACK)
        .bind("position", position)
        .bind("previous", &values.previous)
        .bind("doutput", doutput)
        .bind("gates", &values.gates)
        .bind("hidden", &values.memory)
        .bind("dstate", dstate)
        .bind("dproduct", dproduct);
    at.launch(part, "go_back")?.over([dstate.stride() / 4, dstate.rows(), 1])
}
