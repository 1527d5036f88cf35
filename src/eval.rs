//! Evaluation: the ELBO over a set of images with fixed noise, the estimate of log p(x), and statistics of each latent.

mod importance;
mod information;
mod latents;
mod report;

pub(crate) use importance::accumulate;
pub use importance::{ImportanceEstimate, estimate};
pub use information::mutual_information;
pub(crate) use latents::sum as sum_latents;
pub use latents::{ACTIVE_VARIANCE, LatentStatistics};
pub use report::{Report, ReportRequest, TextReport, report};

use std::ops::ControlFlow;

use crate::Error;
use crate::data::Examples;
use crate::data::order::{longest_first, sequential};
use crate::gpu::Tensor;
use crate::noise::{self, Stream};
use crate::step::metrics::{Averages, Sums};
use crate::step::{Pass, Segment, Step, batches};
use crate::vae::{Described, Network, Recipe, Vae};

/// How the loss of an evaluation weights the KL divergence. Training evaluates with the final values of both.
#[derive(Clone, Copy, Debug)]
pub struct LossWeights {
    /// The weight of the KL divergence.
    pub kl_weight: f64,
    /// The target of the KL divergence, in nats, if the network's objective has a capacity.
    pub capacity: f32,
}

impl Default for LossWeights {
    fn default() -> LossWeights {
        LossWeights { kl_weight: 1.0, capacity: 0.0 }
    }
}

/// The positions of each example and the order of an evaluation. Sentences come the longest first, so that batches have similar
/// lengths.
fn lengths_and_order(examples: Examples<'_>) -> (Vec<u32>, Vec<u32>) {
    let lengths = examples.lengths();
    let order = if lengths.is_empty() { sequential(examples.count()) } else { longest_first(&lengths) };
    (lengths, order)
}

/// A recorded evaluation of a model over a set of examples. It can be run many times. [`report`] evaluates a model once.
///
/// ```
/// # use elbo::config::ModelConfig;
/// # use elbo::data::{ImageShape, Images};
/// use elbo::eval::{Evaluation, LossWeights};
/// use elbo::objective::ObjectiveConfig;
/// # use elbo::vae::Model;
/// use elbo::vae::Network;
/// # use elbo::{AdapterRequest, Gpu, Vae};
///
/// # fn main() -> Result<(), elbo::Error> {
/// # let gpu = Gpu::open(&AdapterRequest::default())?;
/// # let config = ModelConfig { latents: 2, ..ModelConfig::default() };
/// # let vae = Vae::new(&gpu, Model { data: ImageShape::grey(4, 4).into(), config }, 0)?;
/// # let images = Images::new([[0; 8], [255; 8]].concat().repeat(3), 3, ImageShape::grey(4, 4))?;
/// let network = Network::evaluation(&vae, 2, &ObjectiveConfig::default())?; // two images at a time
/// let described = vae.model().describe("evaluating a model", &images, "given")?;
/// let mut evaluation = Evaluation::new(&vae, &network, described, LossWeights::default(), 0)?;
/// let averages = evaluation.run()?;
/// assert!((averages.loss + averages.elbo).abs() < 1e-6 * averages.loss);
/// assert_eq!(averages, evaluation.run()?); // the noise is the same each time
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Evaluation {
    vae: Vae,
    pass: Pass,
    recipe: Recipe,
    order: Vec<u32>,
    steps: Vec<Step>,
    latents: Tensor,
}

impl Evaluation {
    /// Uploads the examples and records the forward pass over `network`, whose tensors may be shared with training.
    ///
    /// The noise depends only on the seed and the example, so the batch size changes the result only by rounding.
    ///
    /// # Shapes
    ///
    /// - `images`: `(N, D)`, evaluated in batches of the `B` examples that `network` was made for
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] for sizes beyond the adapter's; [`Error::Gpu`] if memory runs out.
    pub fn new(
        vae: &Vae,
        network: &Network,
        examples: Described<'_>,
        weights: LossWeights,
        seed: u64,
    ) -> Result<Evaluation, Error> {
        let (examples, batch_size) = (examples.examples(), network.batch());
        let count = examples.count();
        let pass = Pass::new(&vae.gpu, count, batch_size)?;
        let on_device = vae.upload(examples, Stream::BinariseEvaluation)?;
        let mut recipe = network.evaluation_step(&on_device, &pass)?;
        let latents = Tensor::zeros(&vae.gpu, 3 * count.div_ceil(batch_size), network.kl.columns())?;
        recipe.step.push(latents::sum(network.at(&pass.step), &network.posterior, &network.kl, &latents)?);
        recipe.step.push(network.finish(&pass)?);
        let key = noise::key(seed, Stream::Evaluation);
        let objective = [weights.kl_weight as f32, weights.capacity, 0.0, 0.0];
        let (lengths, order) = lengths_and_order(examples);
        let step = |((first, examples), row)| {
            let step = Step { row, first, examples, objective, key, ..Step::default() };
            Step { length: step.longest(&order, &lengths), ..step }
        };
        let steps = batches(count, batch_size).zip(0..).map(step).collect();
        Ok(Evaluation { vae: vae.clone(), pass, recipe, order, steps, latents })
    }

    /// Evaluates the model with the parameters that it has now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] with the term that is NaN or infinite; [`Error::Gpu`] if the device was lost.
    pub fn run(&mut self) -> Result<Averages, Error> {
        let averages = self.averages()?;
        match averages.first_not_finite() {
            None => Ok(averages),
            Some((term, value)) => {
                Err(Error::NotFinite { operation: "evaluating the model", place: term.to_owned(), value })
            }
        }
    }

    /// What a run replays: the step, its tensors, the table of steps and the order of the examples.
    pub(crate) fn programs(&self) -> (&Recipe, &Pass, &[Step], &[u32]) {
        (&self.recipe, &self.pass, &self.steps, &self.order)
    }

    /// The statistics of each latent in the last run.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn latents(&self) -> Result<LatentStatistics, Error> {
        let sums = self.latents.read::<f32>(&self.vae.gpu)?;
        Ok(LatentStatistics::from_sums(&sums, self.latents.columns(), self.order.len()))
    }

    /// As [`Evaluation::run`], for callers that check the loss themselves.
    pub(crate) fn averages(&mut self) -> Result<Averages, Error> {
        let mut sums = Sums::default();
        let steps = &self.steps;
        self.vae.gpu.run(&self.recipe.before, 1);
        let segment = Segment { order: &self.order, steps, from: 0 };
        self.pass.run(&self.vae.gpu, &self.recipe.step, segment, |row, step_sums| {
            for (step, step_sums) in steps[row..].iter().zip(step_sums) {
                sums.add(step, step_sums);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(sums.averages())
    }
}
