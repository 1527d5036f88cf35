//! Objectives: the functions that training minimises.
//!
//! An objective gives each row (an importance sample of an example) its weight in the gradient, and fills the slot
//! `objective` of the kernels that use the weights. The plain ELBO gives all rows the same weight, and has no kernel of
//! its own.
//!
//! An objective is an implementation of `ObjectiveState` in a file of its own, with its WGSL files at the same path. To add
//! one, write these, and add a variant to [`Objective`] and an arm to `ObjectiveConfig::state`.

pub(crate) mod elbo;
pub(crate) mod penalised;
pub(crate) mod weighted;

use std::fmt::Debug;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;
use crate::gpu::{Dispatch, Gpu, Part, Tensor};
use crate::prior::KlEstimate;
use crate::step::At;
use elbo::Elbo;
use penalised::{Penalised, Penalty};
use weighted::{Gradient, Weighted};

/// What training minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// nll + kl_weight * kl, averaged over --samples; the negative ELBO if --kl-weight is 1.
    #[default]
    Elbo,
    /// nll + kl_weight * sum_l max(kl_l, --free-bits), where kl_l is a latent's mean over the batch (Kingma et al. 2016); with the
    /// standard normal prior only.
    FreeBits,
    /// nll + kl_weight * max(kl, --free-bits), where kl is the mean over the batch of all latents together.
    FreeBitsTotal,
    /// nll + kl_weight * |kl - capacity|, where the capacity grows to --capacity (Burgess et al. 2018).
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
    #[arg(id = "objective", long, value_enum, default_value_t, help_heading = "Objective")]
    #[serde(rename = "objective")]
    pub kind: Objective,
    /// Posterior samples of each example, K: their mean is taken, or iwae and dreg weight them by importance. The decoder processes
    /// K times as many rows as the encoder
    #[arg(long, value_name = "K", default_value_t = 1, help_heading = "Objective")]
    pub samples: usize,
    /// With --objective free-bits: a latent whose KL, the mean over the batch in nats, is below this is not penalised; with
    /// free-bits-total, that of all latents together
    #[arg(long, value_name = "X", default_value_t = 0.25, allow_negative_numbers = true, help_heading = "Objective")]
    pub free_bits: f32,
    /// With --objective capacity: the target KL, in nats per example
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
    /// Cycles of the KL weight over all epochs: in each, it grows linearly from 0 to --kl-weight in the first half, and stays there
    /// (Fu et al. 2019); 0 for none
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        conflicts_with_all = ["kl_warmup", "kl_warmup_steps"],
        help_heading = "Training"
    )]
    #[serde(skip_serializing_if = "is_zero")]
    pub kl_cycles: u32,
    /// How the KL divergence is computed. Importance weights, and priors without a closed form, use the sample estimate
    #[arg(long, value_enum, default_value_t, help_heading = "Objective")]
    pub kl: KlEstimate,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Default for ObjectiveConfig {
    fn default() -> ObjectiveConfig {
        ObjectiveConfig {
            kind: Objective::default(),
            samples: 1,
            free_bits: 0.25,
            capacity: 25.0,
            capacity_warmup: 0,
            kl_weight: 1.0,
            kl_warmup: 0,
            kl_warmup_steps: 0,
            kl_cycles: 0,
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

    /// The KL weight after the given number of epochs, of `total` with `updates` updates each: it grows linearly over the first
    /// `kl_warmup` epochs, or `kl_warmup_steps` updates, or over the first half of each cycle.
    pub fn kl_weight_after(&self, epochs: f64, updates: usize, total: u32) -> f64 {
        let ObjectiveConfig { kl_weight, kl_warmup, kl_warmup_steps, kl_cycles, .. } = *self;
        if kl_cycles > 0 {
            let cycles = epochs * f64::from(kl_cycles) / f64::from(total);
            // An update belongs to the cycle that it ends, in spite of rounding.
            let done = cycles - (cycles - 1e-9).floor();
            return kl_weight * grown(done, 0.5);
        }
        let warmup = if kl_warmup > 0 { f64::from(kl_warmup) } else { f64::from(kl_warmup_steps) / updates as f64 };
        kl_weight * grown(epochs, warmup)
    }

    /// The capacity after the given number of epochs, in nats: it grows linearly over the first `capacity_warmup`
    /// epochs.
    pub fn capacity_after(&self, epochs: f64) -> f64 {
        f64::from(self.capacity) * grown(epochs, f64::from(self.capacity_warmup))
    }

    /// Makes the objective with its tensors for batches of up to `batch` examples: the only place that lists all
    /// objectives.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub(crate) fn state(&self, gpu: &Gpu, batch: usize, latents: usize) -> Result<Box<dyn ObjectiveState>, Error> {
        let rows = batch * self.samples;
        Ok(match self.kind {
            Objective::Elbo => Box::new(Elbo::new()),
            Objective::FreeBits => Box::new(Penalised::new(gpu, Penalty::FreeBits(self.free_bits), latents)?),
            Objective::FreeBitsTotal => Box::new(Penalised::new(gpu, Penalty::FreeBitsTotal(self.free_bits), latents)?),
            Objective::Capacity => Box::new(Penalised::new(gpu, Penalty::Capacity, latents)?),
            Objective::Iwae => Box::new(Weighted::new(gpu, Gradient::Standard, rows, batch)?),
            Objective::Dreg => Box::new(Weighted::new(gpu, Gradient::DoublyReparameterised, rows, batch)?),
        })
    }
}

/// An objective for one batch size, recorded over a network's tensors.
///
/// # Shapes
///
/// - `log_prob`: `(B * samples, blocks of D)`, in nats
/// - `kl`: `(B * samples, L)`, in nats
/// - `doutput`: `(B * samples, outputs)`, the gradient with respect to the decoder's outputs
pub(crate) trait ObjectiveState: Debug {
    /// The part for the slot `objective`.
    fn part(&self) -> &Part;

    /// Whether every row has the same weight, and the KL divergence of every latent too.
    fn is_plain(&self) -> bool {
        false
    }

    /// Whether it needs the KL divergence of each sample, as importance weights do, and not that of the distributions.
    fn needs_sampled_kl(&self) -> bool {
        false
    }

    /// Records the dispatches between the forward pass and the backward pass: a penalty, in nats, or importance
    /// weights.
    fn weigh(&self, _at: At<'_>, _log_prob: &Tensor, _kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        Ok(Vec::new())
    }

    /// Records the scaling of the gradient that the likelihood stored, if rows have different weights.
    fn scale(&self, _at: At<'_>, _doutput: &Tensor) -> Result<Option<Dispatch>, Error> {
        Ok(None)
    }
}

/// The fraction of its final value that something has after some epochs, if it grows linearly over `warmup` epochs.
fn grown(epochs: f64, warmup: f64) -> f64 {
    if warmup == 0.0 { 1.0 } else { (epochs / warmup).min(1.0) }
}
