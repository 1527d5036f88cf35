//! The windows of convolutions over sentences that are written position by position. The twin of `shaders/nn/dilated/history.wgsl`.

use super::TAPS;
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("nn/dilated/history.wgsl");

/// Positions before the newest that a causal window sees.
pub(crate) fn span(dilation: usize) -> usize {
    (TAPS - 1) * dilation
}

/// Records `windows[draw, tap * C + c] = history[(TAPS - 1 - tap) * dilation - 1][draw, c]`, for the last tap `relu(values[draw, c])`;
/// then the history moves on by a position.
///
/// # Shapes
///
/// - `values`: `(B * samples, C)`
/// - `history`: `(span * B * samples, C)`, the newest position first
/// - `windows`: `(B * samples, TAPS * C)`
///
/// # Errors
///
/// [`Error::Argument`] if the tensors have other shapes.
pub(crate) fn remember(
    at: At<'_>,
    dilation: usize,
    values: &Tensor,
    history: &Tensor,
    windows: &Tensor,
) -> Result<Dispatch, Error> {
    let [rows, columns] = values.shape();
    let expected = [[rows, TAPS * columns], [span(dilation) * rows, columns]];
    require_shapes("a convolution's history", expected, [windows.shape(), history.shape()])?;
    let part = Part::new(SOURCE)
        .size("TAPS", TAPS)
        .size("DILATION", dilation)
        .bind("values", values)
        .bind("history", history)
        .bind("windows", windows);
    at.launch(part, "remember")?.over([values.stride() / 4, rows, 1])
}
