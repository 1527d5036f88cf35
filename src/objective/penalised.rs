//! A penalty in place of the KL divergence. The twin of `shaders/objective/penalised.wgsl` and of the file below it.

use super::ObjectiveState;
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::step::At;

const PART: Source = source!("objective/penalised.wgsl");
const PENALTY: Source = source!("objective/penalised/penalty.wgsl");

/// A penalty on the mean KL divergence of each latent over the batch, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Penalty {
    /// `kl_weight * sum_l max(kl[l], free_bits)`, with free bits in nats (Kingma et al. 2016, equation 15)
    FreeBits(f32),
    /// `kl_weight * max(sum_l kl[l], free_bits)`
    FreeBitsTotal(f32),
    /// `kl_weight * |sum_l kl[l] - capacity|`, with the step's capacity in nats (Burgess et al. 2018, equation 8)
    Capacity,
}

/// A penalty with its tensors.
#[derive(Debug)]
pub struct Penalised {
    penalty: Penalty,
    part: Part,
    /// `(L)`, the derivatives of the penalty with respect to the mean KL divergence of each latent.
    pub kl_weights: Tensor,
    /// `(1)`, the penalty, in nats.
    pub result: Tensor,
}

impl Penalised {
    /// Makes the tensors for the given number of latents.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(gpu: &Gpu, penalty: Penalty, latents: usize) -> Result<Penalised, Error> {
        let (kl_weights, result) = (Tensor::zeros(gpu, 1, latents)?, Tensor::zeros(gpu, 1, 1)?);
        let part = Part::new(PART).bind("kl_weights", &kl_weights).bind("penalty", &result);
        Ok(Penalised { penalty, part, kl_weights, result })
    }

    /// Records the penalty and its derivatives.
    ///
    /// # Shapes
    ///
    /// - `kl`: `(B * samples, L)`, in nats
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `kl` does not have one column for each latent.
    pub fn penalise(&self, at: At<'_>, kl: &Tensor) -> Result<Dispatch, Error> {
        let latents = self.kl_weights.columns();
        require_shapes("the KL divergence's penalty", [[kl.rows(), latents]], [kl.shape()])?;
        let (entry, free_bits) = match self.penalty {
            Penalty::FreeBits(free_bits) => ("free_bits", free_bits),
            Penalty::FreeBitsTotal(free_bits) => ("free_bits_total", free_bits),
            Penalty::Capacity => ("capacity", 0.0),
        };
        let part = Part::new(PENALTY)
            .size("L", latents)
            .set("FREE_BITS", f64::from(free_bits))
            .bind("kl", kl)
            .bind("kl_weights", &self.kl_weights)
            .bind("penalty", &self.result);
        at.launch(part, entry)?.over_groups([1, 1, 1])
    }
}

impl ObjectiveState for Penalised {
    fn part(&self) -> &Part {
        &self.part
    }

    fn weigh(&self, at: At<'_>, _: &Tensor, kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        Ok(vec![self.penalise(at, kl)?])
    }
}
