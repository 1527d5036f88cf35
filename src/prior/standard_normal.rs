//! The standard normal prior: its KL divergence and draws from it. The twin of `shaders/prior/standard_normal.wgsl`.

use std::sync::Arc;

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Kernel, Tensor, source};

const SOURCE: (&str, &str) = source!("prior/standard_normal.wgsl");

/// Records the closed-form KL divergence from the posterior to the standard normal prior.
///
/// `kl[b] = 1/2 * sum_l (mean^2 + exp(logvar) - logvar - 1)`, in nats, summed over latents.
///
/// # Shapes
///
/// - `posterior`: `(B, 2L)`, the mean and then the log variance
/// - `kl`: `(B)`
///
/// # Errors
///
/// [`Error::Shape`] if the tensors have other shapes.
///
/// # Source
///
/// Kingma & Welling 2014, Appendix B.
pub fn kl(gpu: &Gpu, step: &Tensor, posterior: &Tensor, kl: &Tensor) -> Result<Dispatch, Error> {
    let latents = latents("kl", posterior)?;
    if kl.columns() != posterior.rows() {
        return Err(Error::Shape {
            operation: "kl",
            expected: format!("({})", posterior.rows()),
            found: format!("({})", kl.columns()),
        });
    }
    let tensors = [("step", step), ("posterior", posterior), ("kl", kl)];
    Dispatch::new(gpu, &kernel(gpu, "forward", latents)?, &tensors, [posterior.rows(), 1, 1])
}

/// Records the gradient of `kl_weight` times the mean of [`kl`] over the batch, added to `dposterior`.
///
/// `dmean += w * mean`, `dlogvar += w * (exp(logvar) - 1) / 2`, where `w = kl_weight / rows`.
///
/// # Shapes
///
/// - `posterior`, `dposterior`: `(B, 2L)`
///
/// # Errors
///
/// [`Error::Shape`] if the shapes differ.
pub fn kl_backward(gpu: &Gpu, step: &Tensor, posterior: &Tensor, dposterior: &Tensor) -> Result<Dispatch, Error> {
    let latents = latents("kl_backward", posterior)?;
    if (dposterior.rows(), dposterior.columns()) != (posterior.rows(), posterior.columns()) {
        return Err(Error::Shape {
            operation: "kl_backward",
            expected: format!("({}, {})", posterior.rows(), posterior.columns()),
            found: format!("({}, {})", dposterior.rows(), dposterior.columns()),
        });
    }
    let tensors = [("step", step), ("posterior", posterior), ("dposterior", dposterior)];
    Dispatch::new(gpu, &kernel(gpu, "backward", latents)?, &tensors, [latents, posterior.rows(), 1])
}

/// Records draws from the prior, with noise keyed by the step.
///
/// # Shapes
///
/// - `z`: `(B, L)`
///
/// # Errors
///
/// [`Error::Limit`] if the batch is larger than the adapter's grid.
pub fn sample(gpu: &Gpu, step: &Tensor, z: &Tensor) -> Result<Dispatch, Error> {
    let kernel = kernel(gpu, "sample", z.columns())?;
    Dispatch::new(gpu, &kernel, &[("step", step), ("z", z)], [z.columns().div_ceil(4), z.rows(), 1])
}

fn kernel(gpu: &Gpu, entry: &str, latents: usize) -> Result<Arc<Kernel>, Error> {
    gpu.kernel(SOURCE, entry, &[("L", latents as f64)])
}

fn latents(operation: &'static str, posterior: &Tensor) -> Result<usize, Error> {
    if posterior.columns().is_multiple_of(2) {
        return Ok(posterior.columns() / 2);
    }
    let found = format!("({}, {})", posterior.rows(), posterior.columns());
    Err(Error::Shape { operation, expected: "(B, 2L)".to_owned(), found })
}
