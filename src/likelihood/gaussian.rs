//! The Gaussian likelihood with one variance, learned or fixed. The twin of `shaders/likelihood/gaussian.wgsl`.

use std::sync::Arc;

use super::check;
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Kernel, Tensor, source};

const SOURCE: (&str, &str) = source!("likelihood/gaussian.wgsl");

/// Records the log density of each example, constants included.
///
/// `log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`, in nats.
///
/// # Shapes
///
/// - `x`, `mean`: `(B, D)`
/// - `logvar`: `(1)`
/// - `squared_error`: `(B)`, kept for [`backward_logvar`]
/// - `log_prob`: `(B)`
///
/// # Errors
///
/// [`Error::Shape`] if the tensors have other shapes.
pub fn log_prob(
    gpu: &Gpu,
    step: &Tensor,
    x: &Tensor,
    mean: &Tensor,
    logvar: &Tensor,
    squared_error: &Tensor,
    log_prob: &Tensor,
) -> Result<Dispatch, Error> {
    check("Gaussian log_prob", [x, mean], Some(log_prob))?;
    check("Gaussian log_prob", [x, mean], Some(squared_error))?;
    let tensors = [
        ("step", step),
        ("x", x),
        ("mean", mean),
        ("logvar", logvar),
        ("squared_error", squared_error),
        ("log_prob", log_prob),
    ];
    // One workgroup an example, however wide it is.
    let kernel = kernel(gpu, "forward", x.columns())?;
    Dispatch::new(gpu, &kernel, &tensors, [x.rows() * kernel.workgroup_size()[0], 1, 1])
}

/// Records the gradient of the mean of `-log_prob` over the batch, with respect to the mean.
///
/// `dmean = (mean - x) * exp(-logvar) / rows`
///
/// # Shapes
///
/// - `x`, `mean`, `dmean`: `(B, D)`
/// - `logvar`: `(1)`
///
/// # Errors
///
/// [`Error::Shape`] if the tensors have other shapes.
pub fn backward(
    gpu: &Gpu,
    step: &Tensor,
    x: &Tensor,
    mean: &Tensor,
    logvar: &Tensor,
    dmean: &Tensor,
) -> Result<Dispatch, Error> {
    check("Gaussian backward", [x, mean], None)?;
    check("Gaussian backward", [x, dmean], None)?;
    let tensors = [("step", step), ("x", x), ("mean", mean), ("logvar", logvar), ("dmean", dmean)];
    let threads = [x.columns().div_ceil(4), x.rows(), 1];
    Dispatch::new(gpu, &kernel(gpu, "backward", x.columns())?, &tensors, threads)
}

/// Records the gradient of the mean of `-log_prob` over the batch, with respect to the log variance.
///
/// `dlogvar = 1/2 * sum_b (D - squared_error[b] * exp(-logvar)) / rows`
///
/// # Shapes
///
/// - `logvar`, `dlogvar`: `(1)`
/// - `squared_error`: `(B)`, from [`log_prob`]
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
pub fn backward_logvar(
    gpu: &Gpu,
    step: &Tensor,
    dimensions: usize,
    logvar: &Tensor,
    squared_error: &Tensor,
    dlogvar: &Tensor,
) -> Result<Dispatch, Error> {
    let tensors = [("step", step), ("logvar", logvar), ("squared_error", squared_error), ("dlogvar", dlogvar)];
    Dispatch::new(gpu, &kernel(gpu, "backward_logvar", dimensions)?, &tensors, [1, 1, 1])
}

/// Records the mean of the likelihood, which is what the decoder puts out.
///
/// # Shapes
///
/// - `output`, `mean`: `(B, D)`
///
/// # Errors
///
/// [`Error::Shape`] if the shapes differ.
pub fn mean(gpu: &Gpu, step: &Tensor, output: &Tensor, mean: &Tensor) -> Result<Dispatch, Error> {
    check("Gaussian mean", [output, mean], None)?;
    let tensors = [("step", step), ("mean", output), ("decoded", mean)];
    let threads = [output.columns().div_ceil(4), output.rows(), 1];
    Dispatch::new(gpu, &kernel(gpu, "decode_mean", output.columns())?, &tensors, threads)
}

fn kernel(gpu: &Gpu, entry: &str, dimensions: usize) -> Result<Arc<Kernel>, Error> {
    gpu.kernel(SOURCE, entry, &[("D", dimensions as f64)])
}
