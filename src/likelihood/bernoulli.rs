//! The Bernoulli likelihood, from logits. The twin of `shaders/likelihood/bernoulli.wgsl` and of the files below it.

use crate::gpu::{Part, Source, Tensor, source};
use crate::nn::Epilogue;

const LOG_PROB: Source = source!("likelihood/bernoulli.wgsl");
const MEAN: Source = source!("likelihood/bernoulli/mean.wgsl");
const DRAW: Source = source!("likelihood/bernoulli/draw.wgsl");

/// The log probability and its gradient, of the product that makes the logits: never NaN for finite logits, and finite
/// unless the sum exceeds f32.
///
/// `log_prob[b] = sum_d (x * logits - softplus(logits))`, in nats, and
/// `dlogits = (sigmoid(logits) - x) / rows`, the gradient of the mean of `-log_prob` over the batch.
///
/// # Shapes
///
/// - `x`: `(B, D)`, in `[0, 1]`
/// - `dlogits`: `(B * samples, D)`
/// - `log_prob`: `(B * samples, blocks of D)`, each block's share of the sum
pub fn log_prob(x: &Tensor, dlogits: &Tensor, log_prob: &Tensor) -> Epilogue {
    let overrides = [("D", x.columns() as f64), ("LOG_PROB_STRIDE", log_prob.stride() as f64)];
    let tensors = [("x", x), ("dlogits", dlogits), ("log_prob", log_prob)];
    Epilogue::new(LOG_PROB, [log_prob.rows(), x.columns()], &overrides, &tensors)
}

/// The mean, `sigmoid(logits)`, `(B, D)`.
pub fn mean(mean: &Tensor) -> Epilogue {
    let overrides = [("D", mean.columns() as f64)];
    Epilogue::new(MEAN, [mean.rows(), mean.columns()], &overrides, &[("mean", mean)])
}

/// What fills the slot `pixel` for a draw: 1 with the probability `sigmoid(logits)`, or else 0.
pub fn draw() -> Part {
    Part::new(DRAW, &[], &[])
}
