//! The Bernoulli likelihood, from logits. The twin of `shaders/likelihood/bernoulli.wgsl`.

use std::sync::Arc;

use super::check;
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Kernel, Tensor, source};

const SOURCE: (&str, &str) = source!("likelihood/bernoulli.wgsl");

/// Records the log probability of each example: never NaN for finite logits, and finite unless the sum exceeds f32.
///
/// `log_prob[b] = sum_d (x * logits - softplus(logits))`, in nats.
///
/// # Shapes
///
/// - `x`, `logits`: `(B, D)`; `x` in `[0, 1]`
/// - `log_prob`: `(B)`
///
/// # Errors
///
/// [`Error::Shape`] if the tensors have other shapes.
pub fn log_prob(gpu: &Gpu, step: &Tensor, x: &Tensor, logits: &Tensor, log_prob: &Tensor) -> Result<Dispatch, Error> {
    check("Bernoulli log_prob", [x, logits], Some(log_prob))?;
    let tensors = [("step", step), ("x", x), ("logits", logits), ("log_prob", log_prob)];
    // One workgroup an example, however wide it is.
    let kernel = kernel(gpu, "forward", x.columns())?;
    Dispatch::new(gpu, &kernel, &tensors, [x.rows() * kernel.workgroup_size()[0], 1, 1])
}

/// Records the gradient of the mean of `-log_prob` over the batch.
///
/// `dlogits = (sigmoid(logits) - x) / rows`
///
/// # Shapes
///
/// - `x`, `logits`, `dlogits`: `(B, D)`
///
/// # Errors
///
/// [`Error::Shape`] if the shapes differ.
pub fn backward(gpu: &Gpu, step: &Tensor, x: &Tensor, logits: &Tensor, dlogits: &Tensor) -> Result<Dispatch, Error> {
    check("Bernoulli backward", [x, logits], None)?;
    check("Bernoulli backward", [x, dlogits], None)?;
    let tensors = [("step", step), ("x", x), ("logits", logits), ("dlogits", dlogits)];
    let threads = [x.columns().div_ceil(4), x.rows(), 1];
    Dispatch::new(gpu, &kernel(gpu, "backward", x.columns())?, &tensors, threads)
}

/// Records the mean, `sigmoid(logits)`.
///
/// # Shapes
///
/// - `logits`, `mean`: `(B, D)`
///
/// # Errors
///
/// [`Error::Shape`] if the shapes differ.
pub fn mean(gpu: &Gpu, step: &Tensor, logits: &Tensor, mean: &Tensor) -> Result<Dispatch, Error> {
    check("Bernoulli mean", [logits, mean], None)?;
    let tensors = [("step", step), ("logits", logits), ("mean", mean)];
    let threads = [logits.columns().div_ceil(4), logits.rows(), 1];
    Dispatch::new(gpu, &kernel(gpu, "decode_mean", logits.columns())?, &tensors, threads)
}

fn kernel(gpu: &Gpu, entry: &str, dimensions: usize) -> Result<Arc<Kernel>, Error> {
    gpu.kernel(SOURCE, entry, &[("D", dimensions as f64)])
}
