//! Importance weights. The twin of `shaders/objective/weighted.wgsl` and of the files below it.

use super::ObjectiveState;
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::step::At;

const PART: Source = source!("objective/weighted.wgsl");
const LOG_WEIGHTS: Source = source!("objective/weighted/log_weights.wgsl");
const WEIGHTS: Source = source!("objective/weighted/weights.wgsl");
const SCALE: Source = source!("objective/weighted/scale.wgsl");

/// The gradient with respect to the posterior's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// The gradient of the bound.
    Standard,
    /// The doubly reparameterised one, whose variance is smaller.
    DoublyReparameterised,
}

/// The importance-weighted bound with its tensors.
#[derive(Debug)]
pub struct Weighted {
    part: Part,
    log_weights: Tensor,
    /// `(B * samples)`; the sum over the samples of an example is 1.
    pub weights: Tensor,
    /// `(B)`, in nats.
    pub loss: Tensor,
}

impl Weighted {
    /// Makes the tensors for up to `rows` samples of up to `batch` examples.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(gpu: &Gpu, gradient: Gradient, rows: usize, batch: usize) -> Result<Weighted, Error> {
        let vector = |length| Tensor::zeros(gpu, 1, length);
        let (log_weights, weights, loss) = (vector(rows)?, vector(rows)?, vector(batch)?);
        let part = Part::new(PART)
            .flag("DOUBLY", gradient == Gradient::DoublyReparameterised)
            .bind("weights", &weights)
            .bind("loss", &loss);
        Ok(Weighted { part, log_weights, weights, loss })
    }
}

impl ObjectiveState for Weighted {
    fn part(&self) -> &Part {
        &self.part
    }

    fn needs_sampled_kl(&self) -> bool {
        true
    }

    fn weigh(&self, at: At<'_>, log_prob: &Tensor, kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let Weighted { log_weights, weights, loss, .. } = self;
        Ok(vec![self::log_weights(at, log_prob, kl, log_weights)?, softmax(at, log_weights, weights, loss)?])
    }

    fn scale(&self, at: At<'_>, doutput: &Tensor) -> Result<Option<Dispatch>, Error> {
        scale(at, &self.weights, doutput).map(Some)
    }
}

/// Records the logarithm of each row's importance weight.
///
/// `log_weights[row] = log_prob[row] - kl_weight * kl[row]`, in nats
///
/// # Shapes
///
/// - `log_prob`: `(B * samples, blocks of D)`
/// - `kl`: `(B * samples, L)`, the sample estimate
/// - `log_weights`: `(B * samples)`
///
/// # Errors
///
/// [`Error::Argument`] if the rows differ.
///
/// # Source
///
/// Burda et al. 2016, equation 8.
pub fn log_weights(at: At<'_>, log_prob: &Tensor, kl: &Tensor, log_weights: &Tensor) -> Result<Dispatch, Error> {
    let rows = log_weights.columns();
    check(rows, log_prob.rows())?;
    check(rows, kl.rows())?;
    let part = Part::new(LOG_WEIGHTS).bind("log_prob", log_prob).bind("kl", kl).bind("log_weights", log_weights);
    at.launch(part, "sum")?.over([rows, 1, 1])
}

/// Records each example's bound and the weight of each sample in it.
///
/// `loss[b] = -log(1/K sum_k exp(log_weights[b, k]))`, in nats;
/// `weights[b, k] = exp(log_weights[b, k]) / sum_k exp(log_weights[b, k])`
///
/// # Shapes
///
/// - `log_weights`, `weights`: `(B * samples)`
/// - `loss`: `(B)`
///
/// # Errors
///
/// [`Error::Argument`] if the lengths differ.
pub fn softmax(at: At<'_>, log_weights: &Tensor, weights: &Tensor, loss: &Tensor) -> Result<Dispatch, Error> {
    check(loss.columns() * at.samples, log_weights.columns())?;
    check(log_weights.columns(), weights.columns())?;
    let part = Part::new(WEIGHTS).bind("log_weights", log_weights).bind("weights", weights).bind("loss", loss);
    at.launch(part, "softmax")?.over([loss.columns(), 1, 1])
}

/// Records the scaling of the gradient that the likelihood stored, in which all rows have the same weight.
///
/// `doutput[row, o] *= samples * weights[row]`
///
/// # Shapes
///
/// - `weights`: `(B * samples)`
/// - `doutput`: `(B * samples, outputs)`, or with a row for each position of a sentence
///
/// # Errors
///
/// [`Error::Argument`] if the rows differ.
pub fn scale(at: At<'_>, weights: &Tensor, doutput: &Tensor) -> Result<Dispatch, Error> {
    // A sentence has a row for each position.
    let positions = if at.sequence { doutput.rows() / weights.columns().max(1) } else { 1 };
    check(positions * weights.columns(), doutput.rows())?;
    let part = Part::new(SCALE).bind("weights", weights).bind("doutput", doutput);
    at.launch(part, "scale")?.over([doutput.stride() / 4, doutput.rows(), 1])
}

fn check(expected: usize, found: usize) -> Result<(), Error> {
    require_shapes("importance weights", [[expected, 1]], [[found, 1]])
}
