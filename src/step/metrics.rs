//! The metrics of a run: means over examples, in nats. The twin of `shaders/step/metrics.wgsl`.

use serde::{Deserialize, Serialize};

use super::{At, Pass, Step, StepSums, first_not_finite};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};

const SOURCE: Source = source!("step/metrics.wgsl");

/// Means over the examples of one pass, in nats per example.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// The evidence lower bound, `-nll - kl`; larger is better. It does not depend on the KL weight.
    pub elbo: f64,
    /// The negative log likelihood, `-log p(x|z)`.
    pub nll: f64,
    /// The KL divergence from the posterior to the prior.
    pub kl: f64,
    /// What training minimises: `nll + kl_weight * kl`, or that of another objective.
    pub loss: f64,
}

impl Averages {
    /// The first of the terms that is NaN or infinite, by name.
    pub fn first_not_finite(&self) -> Option<(&'static str, f32)> {
        first_not_finite([self.nll, self.kl, self.loss].map(|term| term as f32))
    }
}

/// One line of `metrics.jsonl`: one epoch of training and the evaluation after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Over the training set, while the parameters were changing.
    pub train: Averages,
    /// Over the validation set, after the epoch, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Averages>,
    /// Over the test set, after the epoch. If there is a validation set, the test set is not used during training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Averages>,
    /// Whether the loss on the validation set is the lowest so far.
    #[serde(default)]
    pub best: bool,
    /// The KL weight of the epoch's last step.
    pub kl_weight: f64,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// The norm of the gradients before it is clipped, the mean over the updates, if updates need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// Updates that were left out because a gradient was NaN or infinite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// Latents whose posterior mean varied by more than 0.01 over the set of the evaluation.
    #[serde(default)]
    pub active_units: Option<usize>,
    /// Training examples per second.
    pub examples_per_second: f64,
    /// Seconds that the epoch's training took, without evaluation and files.
    pub seconds: f64,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl EpochMetrics {
    /// The name of the set that the epoch was evaluated on, and its averages.
    pub fn held_out(&self) -> (&'static str, Averages) {
        match (self.validation, self.test) {
            (Some(validation), _) => ("validation", validation),
            (None, Some(test)) => ("test", test),
            (None, None) => ("nothing", Sums::default().averages()),
        }
    }
}

/// Running sums over the examples of a pass, in f64 and in the order of the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Examples so far.
    pub examples: u64,
    log_prob: f64,
    kl: f64,
    loss: f64,
    /// Examples whose terms were NaN or infinite: they are not in the means.
    #[serde(default)]
    not_finite: u64,
    /// The norms of the gradients of these updates.
    #[serde(default)]
    norms: f64,
    #[serde(default)]
    updates: u32,
    /// Updates that were left out.
    #[serde(default)]
    pub left_out: u32,
}

impl Sums {
    /// Adds one step's sums.
    pub fn add(&mut self, step: &Step, sums: &StepSums) {
        self.examples += u64::from(step.examples);
        self.log_prob += f64::from(sums.log_prob);
        self.kl += f64::from(sums.kl);
        self.loss += f64::from(sums.loss);
    }

    /// Counts the examples of a step whose sums are NaN or infinite.
    pub fn leave_out(&mut self, step: &Step) {
        self.examples += u64::from(step.examples);
        self.not_finite += u64::from(step.examples);
    }

    /// Adds the norm of an update's gradients; the update was left out if it is NaN or infinite.
    pub fn add_norm(&mut self, norm: f32) {
        if norm.is_finite() {
            self.norms += f64::from(norm);
            self.updates += 1;
        } else {
            self.left_out += 1;
        }
    }

    /// The means over the examples so far; NaN if there are none.
    pub fn averages(&self) -> Averages {
        let examples = self.examples.saturating_sub(self.not_finite) as f64;
        let (nll, kl) = (-self.log_prob / examples, self.kl / examples);
        Averages { elbo: -nll - kl, nll, kl, loss: self.loss / examples }
    }

    /// The mean norm of the gradients, over the updates that were made; `None` if no update needed it.
    pub fn gradient_norm(&self) -> Option<f64> {
        (self.updates > 0).then(|| self.norms / f64::from(self.updates))
    }
}

/// Records the end of a step: one row of metrics, then the next step.
///
/// `metrics[row] = (sum log_prob, sum kl, sum of the loss, as it is)` over the step's examples, `step = steps[row + 1]`
///
/// # Shapes
///
/// - `log_prob`: `(B * samples, blocks of D)`
/// - `kl`: `(B * samples, L)`
/// - `pass`: its table and metrics
///
/// # Errors
///
/// [`Error::Argument`] if the two terms differ in their rows.
pub fn finish(at: At<'_>, pass: &Pass, objective: &Part, log_prob: &Tensor, kl: &Tensor) -> Result<Dispatch, Error> {
    require_shapes("metrics", [[log_prob.rows(), kl.columns()]], [kl.shape()])?;
    let part = Part::new(SOURCE)
        .fill("objective", objective)
        .bind("steps", &pass.steps)
        .bind("log_prob", log_prob)
        .bind("kl", kl)
        .bind("metrics", &pass.metrics);
    at.launch(part, "finish")?.over_groups([1, 1, 1])
}
