//! The Gaussian likelihood with one variance, learned or fixed. The twin of `shaders/likelihood/gaussian.wgsl` and of the
//! file below it.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Source, Tensor, source};
use crate::nn::Epilogue;

const LOG_PROB: Source = source!("likelihood/gaussian.wgsl");
const LOGVAR: Source = source!("likelihood/gaussian/logvar.wgsl");

/// The log density, constants included, and its gradient, of the product that makes the mean.
///
/// `log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`, in nats, and
/// `dmean = (mean - x) * exp(-logvar) / rows`, the gradient of the mean of `-log_prob` over the batch.
///
/// # Shapes
///
/// - `x`: `(B, D)`
/// - `dmean`: `(B * samples, D)`
/// - `logvar`: `(1)`
/// - `log_prob`: `(B * samples, blocks of D)`, each block's share of the sum
pub fn log_prob(x: &Tensor, logvar: &Tensor, dmean: &Tensor, log_prob: &Tensor) -> Epilogue {
    let overrides = [("D", x.columns() as f64), ("LOG_PROB_STRIDE", log_prob.stride() as f64)];
    let tensors = [("x", x), ("logvar", logvar), ("dmean", dmean), ("log_prob", log_prob)];
    Epilogue::new(LOG_PROB, [log_prob.rows(), x.columns()], &overrides, &tensors)
}

/// Records the gradient of the mean of `-log_prob` over the batch, with respect to the log variance.
///
/// `dlogvar = 1/2 * sum_b (D - sum_d (x - mean)^2 * exp(-logvar)) / rows`, from the log density itself.
///
/// # Shapes
///
/// - `logvar`, `dlogvar`: `(1)`
/// - `log_prob`: `(B, blocks of D)`, of `dimensions` in all
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
pub fn backward_logvar(
    gpu: &Gpu,
    step: &Tensor,
    dimensions: usize,
    logvar: &Tensor,
    log_prob: &Tensor,
    dlogvar: &Tensor,
) -> Result<Dispatch, Error> {
    let overrides = [("D", dimensions as f64), ("LOG_PROB_QUADS", (log_prob.stride() / 4) as f64)];
    let tensors = [("step", step), ("logvar", logvar), ("log_prob", log_prob), ("dlogvar", dlogvar)];
    Dispatch::new(gpu, &gpu.kernel(&LOGVAR, "backward", &overrides)?, &tensors, [1, 1, 1])
}
