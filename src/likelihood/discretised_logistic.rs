//! The logistic likelihood over the 256 levels of a byte. The twin of `shaders/likelihood/discretised_logistic.wgsl` and of
//! the files below it.

use crate::gpu::{Part, Source, Tensor, source};
use crate::nn::Epilogue;

const LOG_PROB: Source = source!("likelihood/discretised_logistic.wgsl");
const MEAN: Source = source!("likelihood/discretised_logistic/mean.wgsl");
const DRAW: Source = source!("likelihood/discretised_logistic/draw.wgsl");

/// The log probability and its gradients, of the product that makes the mean and a number `raw` of each dimension.
///
/// `log_prob[b] = sum_d log(F((x + 1/510 - mean) / s) - F((x - 1/510 - mean) / s))`, in nats, where `F` is the sigmoid, 0 in
/// place of the second for the level 0, and 1 in place of the first for the level 1; `s = exp(max(raw + log(0.1), -7))`.
///
/// # Shapes
///
/// - `x`: `(B, D)`, levels k/255
/// - `doutput`: `(B * samples, 2D)`: of the mean, of `raw`, and so on; of the mean of `-log_prob` over the batch
/// - `log_prob`: `(B * samples, blocks of 2D)`, each block's share of the sum
///
/// # Source
///
/// Kingma et al. 2016, "Improved variational inference with inverse autoregressive flow"; Salimans et al. 2017,
/// "PixelCNN++", section 2.1.
pub fn log_prob(x: &Tensor, doutput: &Tensor, log_prob: &Tensor) -> Epilogue {
    let overrides = [("D", x.columns() as f64), ("LOG_PROB_STRIDE", log_prob.stride() as f64)];
    let tensors = [("x", x), ("doutput", doutput), ("log_prob", log_prob)];
    Epilogue::new(LOG_PROB, [doutput.rows(), doutput.columns()], &overrides, &tensors)
}

/// What fills the slot `pixel` for the mean: `1/255 * sum_k sigmoid((mean - (k - 1/2)/255) / s)` over k = 1 .. 255.
pub fn mean() -> Part {
    Part::new(MEAN, &[], &[])
}

/// What fills the slot `pixel` for a draw: the level nearest to `mean + s * logit(u)`.
pub fn draw() -> Part {
    Part::new(DRAW, &[], &[])
}
