//! Puts an epilogue on the bench, after a product that passes values to it unchanged.
//!
//! The plain epilogue, `shaders/nn/epilogue.wgsl`, is checked with the products in [`dense`](super::dense).

use super::dense::layer;
use crate::Error;
use crate::gpu::{Arena, Dispatch};
use crate::nn::{self, Dense, Epilogue, Layer};
use crate::selftest::bench::{Bench, Operand};

/// Records the product of a forward pass with an epilogue that sees `value`.
pub(in crate::selftest) fn forward(
    bench: &Bench<'_>,
    value: &Operand,
    epilogue: &Epilogue,
) -> Result<Vec<Dispatch>, Error> {
    let (layer, parameters) = identity(bench, value)?;
    layer.forward(bench.recording(&parameters), &value.tensor, epilogue)
}

/// Records the product that makes the gradient of a layer's `input`, with an epilogue that sees `value`.
pub(in crate::selftest) fn backward(
    bench: &Bench<'_>,
    input: &Operand,
    value: &Operand,
    epilogue: &Epilogue,
) -> Result<Vec<Dispatch>, Error> {
    let (layer, parameters) = identity(bench, value)?;
    let gradients = nn::arena(bench.gpu, &layer.parameters())?;
    layer.backward(bench.recording(&parameters), &gradients, &input.tensor, &value.tensor, Some(epilogue))
}

/// A layer whose product is its input: the weight is the identity, the bias zero.
fn identity(bench: &Bench<'_>, value: &Operand) -> Result<(Dense, Arena), Error> {
    let size = value.tensor.columns();
    let (layer, parameters) = layer(bench, size, size)?;
    let weight: Vec<f32> = (0..size * size).map(|i| if i / size == i % size { 1.0 } else { 0.0 }).collect();
    parameters.get("layer.weight").write(bench.gpu, &weight)?;
    Ok((layer, parameters))
}
