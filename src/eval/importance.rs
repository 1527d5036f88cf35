//! The importance-sampled estimate of log p(x). The twin of `shaders/eval/importance.wgsl`.

use std::ops::ControlFlow;

use crate::Error;
use crate::data::Images;
use crate::data::order::sequential;
use crate::gpu::{Dispatch, Gpu, Program, Source, Tensor, source};
use crate::metrics::{Averages, Sums};
use crate::nn::Mode;
use crate::noise::{self, Stream};
use crate::objective::{ObjectiveConfig, weighted};
use crate::prior::KlEstimate;
use crate::steps::{Pass, Step, batches};
use crate::vae::{Network, Vae};

const SOURCE: Source = source!("eval/importance.wgsl");

/// The most rows of the decoder that one step works on: enough for any GPU.
const ROWS: usize = 2048;

/// The most bytes that a tensor of so many rows takes.
const BYTES: usize = 128 << 20;

/// The most steps of one table; if there are more, several tables come one after the other.
const STEPS: usize = 1 << 14;

/// The most samples of an example in one step. More save nothing: by then the encoder takes a hundredth of the time.
const SAMPLES_PER_STEP: usize = 128;

/// What importance sampling says of a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportanceEstimate {
    /// Samples of each example, K.
    pub samples: usize,
    /// The estimate of log p(x) of each example, in nats: `log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)`. On average it is below
    /// log p(x), the less the more samples there are.
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

    /// The standard error of that mean: what it would vary by with other examples. It has nothing to say of the samples.
    pub fn standard_error(&self) -> f64 {
        let (mean, count) = (self.mean(), self.log_prob.len() as f64);
        let squares: f64 = self.log_prob.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (count - 1.0).max(1.0) / count).sqrt()
    }
}

/// Estimates log p(x) of each image with `samples` draws from the posterior, in chunks: memory does not grow with them.
///
/// `log p(x) = log E_q[p(x|z) p(z) / q(z|x)]`
///
/// The noise depends on the seed, the example and the number of the sample alone. `on_update` is told how much of the work
/// is done, from 0 to 1; if it breaks, nothing is returned.
///
/// # Errors
///
/// [`Error::Shape`] if the images have another size than the model's; [`Error::Config`] if the likelihood cannot describe
/// them; [`Error::NotFiniteValue`] if the estimate of an image is NaN or infinite; [`Error::Gpu`] if the device was lost.
///
/// # Source
///
/// Burda et al. 2016, section 2 and equation 8.
pub fn estimate(
    vae: &Vae,
    images: &Images,
    samples: usize,
    seed: u64,
    mut on_update: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<ImportanceEstimate>, Error> {
    vae.check_size("evaluating a model", images)?;
    vae.check_support(images, "given")?;
    let (gpu, count) = (vae.gpu(), images.count());
    // As few steps as may be, and as full as may be: what the last one draws too many is lost.
    let widest = BYTES / (size_of::<f32>() * vae.model().widest());
    let rows = ROWS.min(widest).min(Network::most_examples(vae, 1)).max(1);
    let per_step = samples.div_ceil(samples.div_ceil(SAMPLES_PER_STEP.min(rows)).max(1)).max(1);
    let batch = (rows / per_step).clamp(1, count);
    let objective = ObjectiveConfig { samples: per_step, kl: KlEstimate::Sampled, ..ObjectiveConfig::default() };
    let network = Network::new(vae, batch, &objective)?;
    network.prepare_now()?;
    let total = count.div_ceil(batch) * samples.div_ceil(per_step);
    let mut steps = steps(count, batch, samples, per_step, noise::key(seed, Stream::Evaluation));

    let mut pass = Pass::with_steps(gpu, count, total.min(STEPS))?;
    let log_weights = Tensor::zeros(gpu, 1, batch * per_step)?;
    let estimates = Tensor::zeros(gpu, count, 4)?;
    let mut program = Program::default();
    program.push(vae.upload(images, Stream::BinariseEvaluation)?.gather(gpu, &pass.step, &pass.order, &network.x)?);
    program.extend(network.terms(&pass.step, Mode::Evaluation)?);
    program.push(weighted::log_weights(gpu, &pass.step, per_step, &network.log_prob, &network.kl, &log_weights)?);
    program.push(accumulate(gpu, &pass.step, per_step, &log_weights, &estimates)?);
    program.push(network.finish(&pass)?);

    let mut sums = Sums::default();
    for first in (0..total).step_by(STEPS) {
        let table: Vec<Step> = steps.by_ref().take(STEPS).zip(0..).map(|(step, row)| Step { row, ..step }).collect();
        let done = pass.run(gpu, &program, &sequential(count), &table, 0, |row, step_sums| {
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
        let wide = |row: &[f32]| [0, 1, 2].map(|column: usize| f64::from(row[column]));
        estimates.chunks_exact(4).map(|row| value(wide(row), samples as f64)).collect()
    };
    let log_prob = of_each(|[largest, sum, _], samples| largest + (sum / samples).ln());
    if let Some(example) = log_prob.iter().position(|value| !value.is_finite()) {
        let term = sums.averages().first_not_finite().map_or("the estimate", |(term, _)| term);
        let (operation, place) = ("estimating log p(x)", format!("{term} of image {example}"));
        return Err(Error::NotFiniteValue { operation, place, value: log_prob[example] as f32 });
    }
    let elbo = of_each(|[_, _, total], samples| total / samples);
    Ok(Some(ImportanceEstimate { samples, log_prob, elbo, averages: sums.averages() }))
}

/// The steps, whose rows are still to be numbered: for each batch, `samples` of each example, `per_step` at a time.
fn steps(count: usize, batch: usize, samples: usize, per_step: usize, key: [u32; 4]) -> impl Iterator<Item = Step> {
    let chunks = (0..samples).step_by(per_step).map(move |first| (first as u32, per_step.min(samples - first) as u32));
    batches(count, batch).flat_map(move |batch| chunks.clone().map(move |chunk| (batch, chunk))).map(
        move |((first, rows), (sample, samples))| Step {
            first,
            rows,
            kl_weight: 1.0,
            key,
            sample,
            samples,
            ..Step::default()
        },
    )
}

/// Records the addition of a step's importance weights to what is known of each example.
///
/// # Shapes
///
/// - `log_weights`: `(B * samples)`
/// - `estimates`: `(N, 4)`, the largest log weight, the sum of the weights relative to it, the sum of the log weights
///
/// # Errors
///
/// [`Error::Shape`] if `estimates` has other columns, or `log_weights` no whole number of examples.
pub(crate) fn accumulate(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    log_weights: &Tensor,
    estimates: &Tensor,
) -> Result<Dispatch, Error> {
    let rows = log_weights.columns();
    if !rows.is_multiple_of(samples) || estimates.columns() != 4 {
        return Err(Error::Shape {
            operation: "adding up importance weights",
            expected: format!("a multiple of {samples} and (N, 4)"),
            found: format!("{rows} and (N, {})", estimates.columns()),
        });
    }
    let kernel = gpu.kernel(&SOURCE, "accumulate", &[("SAMPLES", samples as f64)])?;
    let tensors = [("step", step), ("log_weights", log_weights), ("estimates", estimates)];
    Dispatch::new(gpu, &kernel, &tensors, [rows / samples, 1, 1])
}
