//! What an evaluation says of each latent. The twin of `shaders/eval/latents.wgsl`.

use serde::Serialize;

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Source, Tensor, source};

const SOURCE: Source = source!("eval/latents.wgsl");

/// A latent whose posterior mean varies by more than this over the data is active (Burda et al. 2016, section 5.2).
const ACTIVE_VARIANCE: f64 = 0.01;

/// Each latent over a set of images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatentStatistics {
    /// The mean of its KL divergence, in nats.
    pub kl: Vec<f64>,
    /// The variance of its posterior's mean over the images.
    pub mean_variance: Vec<f64>,
}

impl LatentStatistics {
    /// Latents whose posterior mean has a variance above 0.01 over the data: `active_units`.
    pub fn active_units(&self) -> usize {
        self.mean_variance.iter().filter(|variance| **variance > ACTIVE_VARIANCE).count()
    }

    /// From the sums of each step, `(3 * steps, latents)` as [`add_up`] leaves them, over `examples` in all.
    pub(super) fn from_sums(sums: &[f32], latents: usize, examples: usize) -> LatentStatistics {
        let total = |part: usize, latent: usize| -> f64 {
            sums.chunks_exact(3 * latents).map(|step| f64::from(step[part * latents + latent])).sum::<f64>()
                / examples as f64
        };
        let variance = |latent| total(2, latent) - total(1, latent).powi(2);
        LatentStatistics {
            kl: (0..latents).map(|latent| total(0, latent)).collect(),
            mean_variance: (0..latents).map(variance).collect(),
        }
    }
}

/// Records the sums of a step over its examples, latent by latent.
///
/// `sums[3 row] = sum_b kl`, `sums[3 row + 1] = sum_b mean`, `sums[3 row + 2] = sum_b mean^2`
///
/// # Shapes
///
/// - `posterior`: `(B, 2L)`
/// - `kl`: `(B * samples, L)`, in nats
/// - `sums`: `(3 * steps, L)`
///
/// # Errors
///
/// [`Error::Shape`] if the columns do not fit each other.
pub(crate) fn add_up(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    posterior: &Tensor,
    kl: &Tensor,
    sums: &Tensor,
) -> Result<Dispatch, Error> {
    let latents = kl.columns();
    if (posterior.columns(), sums.columns()) != (2 * latents, latents) {
        return Err(Error::Shape {
            operation: "adding up latents",
            expected: format!("(B, {}) and (3 * steps, {latents})", 2 * latents),
            found: format!("(B, {}) and (3 * steps, {})", posterior.columns(), sums.columns()),
        });
    }
    let kernel = gpu.kernel(&SOURCE, "add_up", &[("L", latents as f64), ("SAMPLES", samples as f64)])?;
    let tensors = [("step", step), ("posterior", posterior), ("kl", kl), ("sums", sums)];
    Dispatch::new(gpu, &kernel, &tensors, [latents.div_ceil(4), 1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_added_up_to_means_and_variances() {
        // Two latents, three examples in two steps; the second latent's mean never changes.
        let first = [1.0, 0.5, 2.0, 3.0, 4.0, 9.0];
        let second = [2.0, 0.25, 2.0, 6.0, 2.0, 18.0];
        let found = LatentStatistics::from_sums(&[first, second].concat(), 2, 3);
        assert_eq!(found.kl, [1.0, 0.25]);
        assert!((found.mean_variance[0] - (2.0 - 16.0 / 9.0)).abs() < 1e-12 && found.mean_variance[1].abs() < 1e-12);
        assert_eq!(found.active_units(), 1);
    }
}
