//! The importance-sampled estimate of log p(x). The twin of `shaders/eval/importance.wgsl`.

use std::ops::ControlFlow;

use super::lengths_and_order;
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::noise::{self, Stream};
use crate::objective::{ObjectiveConfig, weighted};
use crate::prior::KlEstimate;
use crate::step::metrics::{Averages, Sums};
use crate::step::{At, Pass, Segment, Step, batches};
use crate::vae::{Described, Network, Recipe, Vae};

const SOURCE: Source = source!("eval/importance.wgsl");

/// The most rows of the decoder that one step processes: enough for any GPU.
const ROWS: usize = 2048;

/// The most bytes of a tensor with that number of rows.
const BYTES: usize = 128 << 20;

/// The most steps of one table; if there are more, several tables run one after the other.
const STEPS: usize = 1 << 14;

/// The most samples of an example in one step. More would save nothing: with this number, the encoder takes a hundredth
/// of the time.
const SAMPLES_PER_STEP: usize = 128;

/// The importance-sampled estimates over a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportanceEstimate {
    /// Samples of each example, K.
    pub samples: usize,
    /// The estimate of log p(x) of each example, in nats: `log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)`. On average it is
    /// below log p(x); the gap shrinks with the number of samples.
    pub log_prob: Vec<f64>,
    /// The ELBO of each example, in nats: the mean of the log weights.
    pub elbo: Vec<f64>,
    /// The means over the examples, from all samples.
    pub averages: Averages,
}

impl ImportanceEstimate {
    /// The mean of log p(x) over the examples, in nats.
    pub fn mean(&self) -> f64 {
        self.log_prob.iter().sum::<f64>() / self.log_prob.len() as f64
    }

    /// The standard error of that mean over the examples; none for one example. It does not measure the error of a finite K.
    pub fn standard_error(&self) -> Option<f64> {
        let (mean, count) = (self.mean(), self.log_prob.len() as f64);
        let squares: f64 = self.log_prob.iter().map(|value| (value - mean).powi(2)).sum();
        (count > 1.0).then(|| (squares / (count - 1.0) / count).sqrt())
    }
}

/// Estimates log p(x) of each image with `samples` draws from the posterior. They are drawn in chunks, so memory does
/// not grow with their number.
///
/// `log p(x) = log E_q[p(x|z) p(z) / q(z|x)]`
///
/// The noise depends only on the seed, the example and the index of the sample. `on_update` gets the fraction of the
/// work that is done, from 0 to 1; if it breaks, the result is `None`.
///
/// # Errors
///
/// [`Error::NotFinite`] if the estimate of an image is NaN or infinite; [`Error::Gpu`] if the device was lost.
///
/// # Source
///
/// Burda et al. 2016, section 2 and equation 8.
pub fn estimate(
    vae: &Vae,
    examples: Described<'_>,
    samples: usize,
    seed: u64,
    mut on_update: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<ImportanceEstimate>, Error> {
    let examples = examples.examples();
    let (gpu, count) = (vae.gpu(), examples.count());
    let (lengths, order) = lengths_and_order(examples);
    // As few steps as possible, as full as possible: extra samples of the last step are dropped.
    let widest = BYTES / (size_of::<f32>() * vae.model().widest());
    let rows = ROWS.min(widest).min(Network::most_examples(vae, 1)).max(1);
    let per_step = samples.div_ceil(samples.div_ceil(SAMPLES_PER_STEP.min(rows)).max(1)).max(1);
    let batch = (rows / per_step).clamp(1, count);
    let objective = ObjectiveConfig { samples: per_step, kl: KlEstimate::Sampled, ..ObjectiveConfig::default() };
    let network = Network::evaluation(vae, batch, &objective)?;
    let total = count.div_ceil(batch) * samples.div_ceil(per_step);
    let key = noise::key(seed, Stream::Evaluation);
    let mut steps =
        steps(count, batch, samples, per_step, key).map(|step| Step { length: step.longest(&order, &lengths), ..step });

    let mut pass = Pass::with_steps(gpu, count, total.min(STEPS))?;
    let log_weights = Tensor::zeros(gpu, 1, batch * per_step)?;
    let estimates = Tensor::zeros(gpu, count, 4)?;
    let Recipe { before, mut step } = network.terms_step(&vae.upload(examples, Stream::BinariseEvaluation)?, &pass)?;
    let at = network.at(&pass.step);
    step.push(weighted::log_weights(at, &network.log_prob, &network.kl, &log_weights)?);
    step.push(accumulate(at, &log_weights, &estimates)?);
    step.push(network.finish(&pass)?);
    gpu.run(&before, 1);

    let mut sums = Sums::default();
    for first in (0..total).step_by(STEPS) {
        let table: Vec<Step> = steps.by_ref().take(STEPS).zip(0..).map(|(step, row)| Step { row, ..step }).collect();
        let segment = Segment { order: &order, steps: &table, from: 0 };
        let done = pass.run(gpu, &step, segment, |row, step_sums| {
            for (step, step_sums) in table[row..].iter().zip(step_sums) {
                sums.add(step, step_sums);
            }
            Ok(on_update((first + row + step_sums.len()) as f64 / total as f64))
        })?;
        if done < table.len() {
            return Ok(None);
        }
    }
    let estimates = estimates.read::<f32>(gpu)?;
    let of_each = |value: fn([f64; 3], f64) -> f64| -> Vec<f64> {
        let mut values = vec![0.0; count];
        for (row, example) in estimates.chunks_exact(4).zip(&order) {
            values[*example as usize] = value([0, 1, 2].map(|column| f64::from(row[column])), samples as f64);
        }
        values
    };
    let log_prob = of_each(|[largest, sum, _], samples| largest + (sum / samples).ln());
    if let Some(example) = log_prob.iter().position(|value| !value.is_finite()) {
        let term = sums.averages().first_not_finite().map_or("the estimate", |(term, _)| term);
        let (operation, place) = ("estimating log p(x)", format!("{term} of example {example}"));
        return Err(Error::NotFinite { operation, place, value: log_prob[example] as f32 });
    }
    let elbo = of_each(|[_, _, total], samples| total / samples);
    Ok(Some(ImportanceEstimate { samples, log_prob, elbo, averages: sums.averages() }))
}

/// The steps, without their numbers: for each batch, `samples` of each example, `per_step` at a time.
fn steps(count: usize, batch: usize, samples: usize, per_step: usize, key: [u32; 4]) -> impl Iterator<Item = Step> {
    let chunks = (0..samples).step_by(per_step).map(move |first| (first as u32, per_step.min(samples - first) as u32));
    batches(count, batch).flat_map(move |batch| chunks.clone().map(move |chunk| (batch, chunk))).map(
        move |((first, examples), (first_sample, live_samples))| Step {
            first,
            examples,
            objective: [1.0, 0.0, 0.0, 0.0],
            key,
            first_sample,
            live_samples,
            ..Step::default()
        },
    )
}

/// Records the addition of a step's importance weights to the running sums of each example.
///
/// # Shapes
///
/// - `log_weights`: `(B * samples)`
/// - `estimates`: `(N, 4)`, the largest log weight, the sum of the weights relative to it, the sum of the log weights
///
/// # Errors
///
/// [`Error::Argument`] if `estimates` does not have 4 columns, or `log_weights` is not a whole number of examples.
pub(crate) fn accumulate(at: At<'_>, log_weights: &Tensor, estimates: &Tensor) -> Result<Dispatch, Error> {
    let (rows, samples) = (log_weights.columns(), at.samples);
    let expected = [[1, rows.next_multiple_of(samples)], [estimates.rows(), 4]];
    require_shapes("sums of importance weights", expected, [log_weights.shape(), estimates.shape()])?;
    let part = Part::new(SOURCE).bind("log_weights", log_weights).bind("estimates", estimates);
    at.launch(part, "accumulate")?.over([rows / samples, 1, 1])
}
