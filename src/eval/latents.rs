//! The statistics of each latent in an evaluation. The twin of `shaders/eval/latents.wgsl`.

use serde::Serialize;

use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("eval/latents.wgsl");

/// A latent whose posterior mean varies by more than this over the data is active (Burda et al. 2016, section 5.2).
pub const ACTIVE_VARIANCE: f64 = 0.01;

/// The statistics of each latent over a set of images.
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

    /// Makes the statistics from the sums of each step, `(3 * steps, latents)`, as [`sum`] stores them, over `examples`
    /// in total.
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
/// [`Error::Argument`] if the columns do not fit each other.
pub(crate) fn sum(at: At<'_>, posterior: &Tensor, kl: &Tensor, sums: &Tensor) -> Result<Dispatch, Error> {
    let latents = kl.columns();
    let expected = [[posterior.rows(), posterior.columns().max(latents)], [sums.rows(), latents]];
    require_shapes("sums over latents", expected, [posterior.shape(), sums.shape()])?;
    let part = Part::new(SOURCE).size("L", latents).bind("posterior", posterior).bind("kl", kl).bind("sums", sums);
    at.launch(part, "sum")?.over([kl.stride() / 4, 1, 1])
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
