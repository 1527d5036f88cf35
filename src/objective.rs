//! Objectives: what training minimises. The twin of `shaders/objective/elbo.wgsl`.
//!
//! An objective says how much each row (an importance sample of an example) weighs in the gradient, and fills the slot
//! `objective` of the kernels that need to know. The plain ELBO weighs all alike, and takes no kernel of its own.

pub(crate) mod penalised;
pub(crate) mod weighted;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::prior::KlEstimate;
use penalised::Penalty;

const ELBO: Source = source!("objective/elbo.wgsl");

/// What training minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// nll + kl_weight * kl, the negative ELBO where --kl-weight is 1; the mean over --samples.
    #[default]
    Elbo,
    /// nll + kl_weight * sum_l max(kl_l, --free-bits), where kl_l is a latent's mean over the batch (Kingma et al. 2016); with the
    /// standard normal prior only.
    FreeBits,
    /// nll + kl_weight * |kl - capacity|, whose capacity grows to --capacity (Burgess et al. 2018).
    Capacity,
    /// The importance-weighted bound of --samples (Burda et al. 2016).
    Iwae,
    /// The importance-weighted bound with the doubly reparameterised gradient for the encoder (Tucker et al. 2019).
    Dreg,
}

/// The objective and its settings.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectiveConfig {
    /// What training minimises
    #[arg(long, value_enum, default_value_t, help_heading = "Objective")]
    pub objective: Objective,
    /// Posterior samples of each example, K: averaged over, or importance-weighted by iwae and dreg; the decoder works on K times
    /// the batch, the encoder on the batch
    #[arg(long, value_name = "K", default_value_t = 1, help_heading = "Objective")]
    pub samples: usize,
    /// The KL that each latent has for nothing with --objective free-bits, in nats, as a mean over the batch
    #[arg(long, value_name = "X", default_value_t = 0.25, allow_negative_numbers = true, help_heading = "Objective")]
    pub free_bits: f32,
    /// The KL that --objective capacity draws the model to, in nats per example
    #[arg(long, value_name = "X", default_value_t = 25.0, allow_negative_numbers = true, help_heading = "Objective")]
    pub capacity: f32,
    /// Epochs over which the capacity grows linearly from 0 to --capacity; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Objective")]
    pub capacity_warmup: u32,
    /// Weight of the KL term in the loss; 1 maximises the ELBO, above 1 is a beta-VAE
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true, help_heading = "Training")]
    pub kl_weight: f64,
    /// Epochs over which the KL weight grows linearly from 0 to --kl-weight; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Training")]
    pub kl_warmup: u32,
    /// Batches over which the KL weight grows linearly from 0 to --kl-weight, in place of --kl-warmup; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "kl_warmup", help_heading = "Training")]
    pub kl_warmup_steps: u32,
    /// How the KL divergence is found; importance weights, and priors without a formula, take the sample estimate
    #[arg(long, value_enum, default_value_t, help_heading = "Objective")]
    pub kl: KlEstimate,
}

impl Default for ObjectiveConfig {
    fn default() -> ObjectiveConfig {
        ObjectiveConfig {
            objective: Objective::default(),
            samples: 1,
            free_bits: 0.25,
            capacity: 25.0,
            capacity_warmup: 0,
            kl_weight: 1.0,
            kl_warmup: 0,
            kl_warmup_steps: 0,
            kl: KlEstimate::default(),
        }
    }
}

impl ObjectiveConfig {
    /// Checks the values that need no data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let weight = self.kl_weight;
        require("--kl-weight", weight.is_finite() && weight >= 0.0, "a finite number, 0 or more", weight)?;
        let fits = |value: f32| value.is_finite() && value >= 0.0;
        require("--samples", (1..=1 << 20).contains(&self.samples), "a number from 1 to 1048576", self.samples)?;
        require("--free-bits", fits(self.free_bits), "a finite number, 0 or more", self.free_bits)?;
        require("--capacity", fits(self.capacity), "a finite number, 0 or more", self.capacity)
    }

    /// The KL weight after so many epochs of `updates` updates each: it grows linearly over the first `kl_warmup` epochs, or
    /// `kl_warmup_steps` updates.
    pub fn kl_weight_after(&self, epochs: f64, updates: usize) -> f64 {
        let ObjectiveConfig { kl_weight, kl_warmup, kl_warmup_steps, .. } = *self;
        let warmup = if kl_warmup > 0 { f64::from(kl_warmup) } else { f64::from(kl_warmup_steps) / updates as f64 };
        kl_weight * grown(epochs, warmup)
    }

    /// The capacity after so many epochs: it grows linearly over the first `capacity_warmup` epochs.
    pub fn capacity_after(&self, epochs: f64) -> f64 {
        f64::from(self.capacity) * grown(epochs, f64::from(self.capacity_warmup))
    }

    /// How the KL divergence is found: importance weights need that of the sample itself.
    pub fn kl_estimate(&self) -> KlEstimate {
        if self.is_weighted() { KlEstimate::Sampled } else { self.kl }
    }

    fn is_weighted(&self) -> bool {
        matches!(self.objective, Objective::Iwae | Objective::Dreg)
    }

    /// Makes what the objective needs for batches of up to `batch` examples.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn state(&self, gpu: &Gpu, batch: usize, latents: usize) -> Result<ObjectiveState, Error> {
        let samples = self.samples;
        let vector = |length| Tensor::zeros(gpu, 1, length);
        let (part, work) = match self.objective {
            Objective::Elbo => (elbo(), Work::None),
            Objective::FreeBits | Objective::Capacity => {
                let (kl_weights, result) = (vector(latents)?, vector(1)?);
                let penalty = match self.objective {
                    Objective::FreeBits => Penalty::FreeBits(self.free_bits),
                    _ => Penalty::Capacity,
                };
                (penalised::part(&kl_weights, &result), Work::Penalty { penalty, kl_weights, result })
            }
            Objective::Iwae | Objective::Dreg => {
                let (log_weights, weights, loss) = (vector(batch * samples)?, vector(batch * samples)?, vector(batch)?);
                let part = weighted::part(self.objective == Objective::Dreg, &weights, &loss);
                (part, Work::Weighted { log_weights, weights, loss })
            }
        };
        Ok(ObjectiveState { samples, part, work })
    }
}

/// How much of its final value something has after some epochs, if it grows linearly over `warmup` of them.
fn grown(epochs: f64, warmup: f64) -> f64 {
    if warmup == 0.0 { 1.0 } else { (epochs / warmup).min(1.0) }
}

/// The ELBO with the mean over an example's samples: what fills the slot `objective`.
pub(crate) fn elbo() -> Part {
    Part::new(ELBO, &[], &[])
}

/// An objective for one batch size, recorded over a network's tensors.
pub struct ObjectiveState {
    samples: usize,
    part: Part,
    work: Work,
}

/// What has to be known before the backward pass.
enum Work {
    None,
    Penalty { penalty: Penalty, kl_weights: Tensor, result: Tensor },
    Weighted { log_weights: Tensor, weights: Tensor, loss: Tensor },
}

impl ObjectiveState {
    /// What fills the slot `objective`.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Whether every row weighs the same, and the KL divergence of every latent too.
    pub fn is_plain(&self) -> bool {
        matches!(self.work, Work::None)
    }

    /// Records what lies between the forward pass and the backward pass: the penalty, or the importance weights.
    ///
    /// # Shapes
    ///
    /// - `log_prob`: `(B * samples, blocks of D)`
    /// - `kl`: `(B * samples, L)`
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if a kernel cannot be made.
    pub fn weigh(&self, gpu: &Gpu, step: &Tensor, log_prob: &Tensor, kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let samples = self.samples;
        match &self.work {
            Work::None => Ok(Vec::new()),
            Work::Penalty { penalty, kl_weights, result } => {
                Ok(vec![penalised::penalty(gpu, step, samples, *penalty, kl, kl_weights, result)?])
            }
            Work::Weighted { log_weights, weights, loss } => Ok(vec![
                weighted::log_weights(gpu, step, samples, log_prob, kl, log_weights)?,
                weighted::normalise(gpu, step, samples, log_weights, weights, loss)?,
            ]),
        }
    }

    /// Records the scaling of the gradient that the likelihood left, where rows do not weigh the same.
    ///
    /// # Shapes
    ///
    /// - `doutput`: `(B * samples, outputs)`
    ///
    /// # Errors
    ///
    /// As [`ObjectiveState::weigh`].
    pub fn scale(&self, gpu: &Gpu, step: &Tensor, doutput: &Tensor) -> Result<Option<Dispatch>, Error> {
        match &self.work {
            Work::Weighted { weights, .. } => weighted::scale(gpu, step, self.samples, weights, doutput).map(Some),
            _ => Ok(None),
        }
    }
}
