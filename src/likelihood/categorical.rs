//! The categorical likelihood over evenly spaced levels. The twin of `shaders/likelihood/categorical.wgsl` and of the files
//! below it.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};

const LOG_PROB: Source = source!("likelihood/categorical.wgsl");
const MEAN: Source = source!("likelihood/categorical/mean.wgsl");
const DRAW: Source = source!("likelihood/categorical/draw.wgsl");

/// Records the log probability and its gradient, which takes the place of the logits.
///
/// `log_prob[b, d] = logits[b, d, k] - log sum_c exp(logits[b, d, c])`, in nats, for `k = (C - 1) x`, and
/// `dlogits = (softmax(logits) - onehot(k)) / rows`, the gradient of the mean of `-log_prob` over the batch.
///
/// # Shapes
///
/// - `x`: `(B, D)`, levels k/(C - 1)
/// - `output`: `(B * samples, D * C)`: the logits, then their gradient
/// - `log_prob`: `(B * samples, D)`
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
pub fn log_prob(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    x: &Tensor,
    output: &Tensor,
    log_prob: &Tensor,
) -> Result<Dispatch, Error> {
    let dimensions = x.columns();
    let overrides = [
        ("D", dimensions as f64),
        ("CATEGORIES", (output.columns() / dimensions) as f64),
        ("LOG_PROB_STRIDE", log_prob.stride() as f64),
        ("SAMPLES", samples as f64),
    ];
    let tensors = [("step", step), ("x", x), ("output", output), ("log_prob", log_prob)];
    let kernel = gpu.kernel(&LOG_PROB, "evaluate", &overrides)?;
    Dispatch::new(gpu, &kernel, &tensors, [dimensions, output.rows(), 1])
}

/// What fills the slot `pixel` for the mean: `sum_c softmax(logits)[c] * c / (C - 1)`.
pub fn mean(categories: usize) -> Part {
    Part::new(MEAN, &[("CATEGORIES", categories as f64)], &[])
}

/// What fills the slot `pixel` for a draw, by the inverse of the cumulative distribution.
pub fn draw(categories: usize) -> Part {
    Part::new(DRAW, &[("CATEGORIES", categories as f64)], &[])
}
