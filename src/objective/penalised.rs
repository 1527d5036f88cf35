//! A penalty in place of the KL divergence. The twin of `shaders/objective/penalised.wgsl` and of the file below it.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};

const PART: Source = source!("objective/penalised.wgsl");
const PENALTY: Source = source!("objective/penalised/penalty.wgsl");

/// What fills the slot `objective`.
///
/// # Shapes
///
/// - `kl_weights`: `(L)`, the derivatives of the penalty by each latent's mean KL divergence
/// - `penalty`: `(1)`
pub fn part(kl_weights: &Tensor, penalty: &Tensor) -> Part {
    Part::new(PART, &[], &[("kl_weights", kl_weights), ("penalty", penalty)])
}

/// A penalty on each latent's mean KL divergence over the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Penalty {
    /// `kl_weight * sum_l max(kl[l], free_bits)` (Kingma et al. 2016, equation 15)
    FreeBits(f32),
    /// `kl_weight * |sum_l kl[l] - capacity|`, with the step's capacity (Burgess et al. 2018, equation 8)
    Capacity,
}

/// Records a penalty and its derivatives.
///
/// # Shapes
///
/// - `kl`: `(B * samples, L)`
/// - `kl_weights`, `penalty`: as [`part`] has them
///
/// # Errors
///
/// [`Error::Shape`] if `kl_weights` has other columns than `kl`.
pub fn penalty(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    penalty: Penalty,
    kl: &Tensor,
    kl_weights: &Tensor,
    result: &Tensor,
) -> Result<Dispatch, Error> {
    let latents = kl.columns();
    if kl_weights.columns() != latents {
        let (expected, found) = (format!("{latents} weights"), kl_weights.columns().to_string());
        return Err(Error::Shape { operation: "the KL divergence's penalty", expected, found });
    }
    let (entry, free_bits) = match penalty {
        Penalty::FreeBits(free_bits) => ("free_bits", free_bits),
        Penalty::Capacity => ("capacity", 0.0),
    };
    let overrides = [("SAMPLES", samples as f64), ("L", latents as f64), ("FREE_BITS", f64::from(free_bits))];
    let kernel = gpu.kernel(&PENALTY, entry, &overrides)?;
    let tensors = [("step", step), ("kl", kl), ("kl_weights", kl_weights), ("penalty", result)];
    Dispatch::new(gpu, &kernel, &tensors, [1, 1, 1])
}
