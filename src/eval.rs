//! Evaluation: the ELBO over a set of images with samples that stay the same, the estimate of log p(x), and what is known of
//! each latent.

mod importance;
mod latents;
mod report;

pub(crate) use importance::accumulate;
pub use importance::{ImportanceEstimate, estimate};
pub use latents::LatentStatistics;
pub(crate) use latents::add_up;
pub use report::{Report, ReportRequest, report};

use std::ops::ControlFlow;

use crate::Error;
use crate::data::Images;
use crate::data::order::sequential;
use crate::gpu::{Program, Tensor};
use crate::metrics::{Averages, Sums};
use crate::nn::Mode;
use crate::noise::{self, Stream};
use crate::steps::{Pass, Step, batches};
use crate::vae::{Network, Vae};

/// What the loss of an evaluation weighs the KL divergence by: in training, the final values of both.
#[derive(Clone, Copy, Debug)]
pub struct LossWeights {
    /// The weight of the KL divergence.
    pub kl_weight: f64,
    /// What it is drawn to, where the network's objective has a capacity.
    pub capacity: f32,
}

impl Default for LossWeights {
    fn default() -> LossWeights {
        LossWeights { kl_weight: 1.0, capacity: 0.0 }
    }
}

/// A recorded evaluation of a model over a set of images, to be run as often as wanted.
pub struct Evaluation {
    vae: Vae,
    pass: Pass,
    /// What comes before the first step.
    prepare: Program,
    program: Program,
    order: Vec<u32>,
    steps: Vec<Step>,
    latents: Tensor,
}

impl Evaluation {
    /// Uploads the images and records the forward pass over `network`, whose tensors may be shared with training.
    ///
    /// The noise depends on the seed and the example alone, so that the batch size plays no part in the result but for
    /// rounding.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the images have another size than the model's; [`Error::Config`] if the likelihood cannot describe
    /// them.
    pub fn new(
        vae: &Vae,
        network: &Network,
        images: &Images,
        weights: LossWeights,
        seed: u64,
    ) -> Result<Evaluation, Error> {
        vae.check_size("evaluating a model", images)?;
        vae.check_support(images, "given")?;
        let batch_size = network.x.rows();
        let pass = Pass::new(&vae.gpu, images.count(), batch_size)?;
        let device_images = vae.upload(images, Stream::BinariseEvaluation)?;
        let (mut prepare, mut program) = (Program::default(), Program::default());
        prepare.extend(network.prepare()?);
        program.push(device_images.gather(&vae.gpu, &pass.step, &pass.order, &network.x)?);
        program.extend(network.forward(&pass.step, Mode::Evaluation)?);
        let latents = Tensor::zeros(&vae.gpu, 3 * images.count().div_ceil(batch_size), network.kl.columns())?;
        program.push(add_up(&vae.gpu, &pass.step, network.samples(), &network.posterior, &network.kl, &latents)?);
        program.push(network.finish(&pass)?);
        let key = noise::key(seed, Stream::Evaluation);
        let (kl_weight, capacity) = (weights.kl_weight as f32, weights.capacity);
        let steps = batches(images.count(), batch_size)
            .zip(0..)
            .map(|((first, rows), row)| Step { row, first, rows, kl_weight, capacity, key, ..Step::default() })
            .collect();
        Ok(Evaluation { vae: vae.clone(), pass, prepare, program, order: sequential(images.count()), steps, latents })
    }

    /// Evaluates the model with the parameters that it has now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFiniteValue`] with the term that is NaN or infinite; [`Error::Gpu`] if the device was lost.
    pub fn run(&mut self) -> Result<Averages, Error> {
        let averages = self.averages()?;
        match averages.first_not_finite() {
            None => Ok(averages),
            Some((term, value)) => {
                Err(Error::NotFiniteValue { operation: "evaluating the model", place: term.to_owned(), value })
            }
        }
    }

    /// What the last run says of each latent.
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
        self.vae.gpu.run(&self.prepare, 1);
        self.pass.run(&self.vae.gpu, &self.program, &self.order, steps, 0, |row, step_sums| {
            for (step, step_sums) in steps[row..].iter().zip(step_sums) {
                sums.add(step, step_sums);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(sums.averages())
    }
}
