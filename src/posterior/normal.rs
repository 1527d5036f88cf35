//! The diagonal normal posterior, its reparameterisation and its KL divergence from a prior. The twin of
//! `shaders/posterior/normal.wgsl` and of the file below it.
//!
//! The prior fills the slot `prior` of both: it says what a latent's KL divergence is, and what its gradients are.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Source, Tensor, source};
use crate::nn::Epilogue;

const DRAW: Source = source!("posterior/normal.wgsl");
const BACKWARD: Source = source!("posterior/normal/backward.wgsl");

/// Records a draw from the posterior, with noise keyed by the step, and the KL divergence from the prior.
///
/// `z = mean + exp(logvar / 2) * noise`
///
/// # Shapes
///
/// - `posterior`: `(B, 2L)`, the mean and then the log variance
/// - `z`, `kl`: `(B, L)`; the KL divergence in nats, latent by latent
///
/// # Errors
///
/// [`Error::Shape`] if the tensors have other shapes.
///
/// # Source
///
/// Kingma & Welling 2014, section 2.4.
pub fn draw(
    gpu: &Gpu,
    step: &Tensor,
    prior: Source,
    posterior: &Tensor,
    z: &Tensor,
    kl: &Tensor,
) -> Result<Dispatch, Error> {
    check("drawing from the posterior", posterior, z)?;
    check("drawing from the posterior", posterior, kl)?;
    let kernel = gpu.kernel(&DRAW.with("prior", prior), "draw", &[("L", z.columns() as f64)])?;
    let tensors = [("step", step), ("posterior", posterior), ("z", z), ("kl", kl)];
    Dispatch::new(gpu, &kernel, &tensors, [z.columns().div_ceil(4), z.rows(), 1])
}

/// The epilogue of the product that makes `dz`, in the layer whose input is `z`: takes the gradient on to the posterior,
/// and adds that of `kl_weight` times the mean of the KL divergence over the batch.
///
/// `dmean = dz + w * dkl / dmean`, `dlogvar = dz * (z - mean) / 2 + w * dkl / dlogvar`, `w = kl_weight / rows`
///
/// `z - mean` is `exp(logvar / 2) * noise`, off by the rounding of `z`: the gradient is then off by half a unit in the last
/// place of `z`, times `dz`, however small the standard deviation is.
///
/// # Shapes
///
/// - `posterior`, `dposterior`: `(B, 2L)`, the mean's part and then the log variance's
///
/// # Errors
///
/// [`Error::Shape`] if the shapes differ or the number of columns is odd.
pub fn backward(prior: Source, posterior: &Tensor, dposterior: &Tensor) -> Result<Epilogue, Error> {
    let [rows, columns] = [posterior.rows(), posterior.columns()];
    if (dposterior.rows(), dposterior.columns()) != (rows, columns) || !columns.is_multiple_of(2) {
        return Err(Error::Shape {
            operation: "the posterior's gradient",
            expected: "(B, 2L) twice".to_owned(),
            found: format!("({rows}, {columns}) and ({}, {})", dposterior.rows(), dposterior.columns()),
        });
    }
    let latents = columns / 2;
    let tensors = [("posterior", posterior), ("dposterior", dposterior)];
    Ok(Epilogue::new(BACKWARD.with("prior", prior), [rows, latents], &[("L", latents as f64)], &tensors))
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
