//! The standard normal prior: its KL divergence and draws from it. The twin of `shaders/prior/standard_normal.wgsl` and of
//! the files below it.

use super::KlEstimate;
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};

const SAMPLE: Source = source!("prior/standard_normal/sample.wgsl");

/// The KL divergence from a normal posterior to the standard normal prior, and its gradients: what fills the slot `prior`
/// of the posterior's kernels.
///
/// `kl = 1/2 * (mean^2 + exp(logvar) - logvar - 1)` in closed form, `kl = 1/2 * (z^2 - logvar - noise^2)` as the sample
/// estimate `log q(z|x) - log p(z)`; in nats, for each latent.
///
/// # Source
///
/// Kingma & Welling 2014, Appendix B.
pub fn kl(estimate: KlEstimate) -> Part {
    let source = match estimate {
        KlEstimate::ClosedForm => source!("prior/standard_normal.wgsl"),
        KlEstimate::Sampled => source!("prior/standard_normal/sampled.wgsl"),
    };
    Part::new(source, &[], &[])
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
    let kernel = gpu.kernel(&SAMPLE, "sample", &[("L", z.columns() as f64)])?;
    Dispatch::new(gpu, &kernel, &[("step", step), ("z", z)], [z.columns().div_ceil(4), z.rows(), 1])
}
