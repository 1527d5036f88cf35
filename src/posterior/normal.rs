//! The diagonal normal posterior and its reparameterisation. The twin of `shaders/posterior/normal.wgsl`.

use std::sync::Arc;

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Kernel, Tensor, source};

const SOURCE: (&str, &str) = source!("posterior/normal.wgsl");

/// Records a draw from the posterior, with noise keyed by the step.
///
/// `z = mean + exp(logvar / 2) * noise`
///
/// # Shapes
///
/// - `posterior`: `(B, 2L)`, the mean and then the log variance
/// - `z`: `(B, L)`
///
/// # Errors
///
/// [`Error::Shape`] if the tensors have other shapes.
///
/// # Source
///
/// Kingma & Welling 2014, section 2.4.
pub fn reparameterise(gpu: &Gpu, step: &Tensor, posterior: &Tensor, z: &Tensor) -> Result<Dispatch, Error> {
    check("reparameterise", posterior, z)?;
    let kernel = kernel(gpu, "reparameterise", z.columns())?;
    let tensors = [("step", step), ("posterior", posterior), ("z", z)];
    Dispatch::new(gpu, &kernel, &tensors, [z.columns().div_ceil(4), z.rows(), 1])
}

/// Records the gradient of [`reparameterise`]; the noise is made again, not stored.
///
/// `dmean = dz`, `dlogvar = dz * noise * exp(logvar / 2) / 2`
///
/// # Shapes
///
/// - `posterior`, `dposterior`: `(B, 2L)`, the mean's part and then the log variance's
/// - `dz`: `(B, L)`
///
/// # Errors
///
/// [`Error::Shape`] if the tensors have other shapes.
pub fn reparameterise_backward(
    gpu: &Gpu,
    step: &Tensor,
    posterior: &Tensor,
    dz: &Tensor,
    dposterior: &Tensor,
) -> Result<Dispatch, Error> {
    check("reparameterise_backward", posterior, dz)?;
    check("reparameterise_backward", dposterior, dz)?;
    let kernel = kernel(gpu, "reparameterise_backward", dz.columns())?;
    let tensors = [("step", step), ("posterior", posterior), ("dz", dz), ("dposterior", dposterior)];
    Dispatch::new(gpu, &kernel, &tensors, [dz.columns().div_ceil(4), dz.rows(), 1])
}

fn kernel(gpu: &Gpu, entry: &str, latents: usize) -> Result<Arc<Kernel>, Error> {
    gpu.kernel(SOURCE, entry, &[("L", latents as f64)])
}

fn check(operation: &'static str, posterior: &Tensor, z: &Tensor) -> Result<(), Error> {
    if posterior.rows() == z.rows() && posterior.columns() == 2 * z.columns() {
        return Ok(());
    }
    Err(Error::Shape {
        operation,
        expected: "(B, 2L) and (B, L)".to_owned(),
        found: format!("({}, {}) and ({}, {})", posterior.rows(), posterior.columns(), z.rows(), z.columns()),
    })
}
