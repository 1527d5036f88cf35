//! Evaluation: the ELBO over a set of images, with one fixed posterior sample per example.

mod importance;

pub(crate) use importance::accumulate;
pub use importance::{ImportanceEstimate, estimate};

use std::ops::ControlFlow;

use crate::Error;
use crate::data::Images;
use crate::data::order::sequential;
use crate::gpu::Program;
use crate::metrics::{Averages, Sums};
use crate::noise::{self, Stream};
use crate::steps::{Pass, Step, batches};
use crate::vae::{Network, Vae};

/// A recorded evaluation of a model over a set of images, to be run as often as wanted.
pub struct Evaluation {
    vae: Vae,
    pass: Pass,
    /// What comes before the first step.
    prepare: Program,
    program: Program,
    order: Vec<u32>,
    steps: Vec<Step>,
}

impl Evaluation {
    /// Uploads the images and records the forward pass over `network`, whose tensors may be shared with training.
    ///
    /// The noise depends on the seed and the example alone, so that the batch size plays no part in the result but for
    /// rounding.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the images have another size than the model's.
    pub fn new(vae: &Vae, network: &Network, images: &Images, kl_weight: f64, seed: u64) -> Result<Evaluation, Error> {
        vae.check_size("evaluating a model", images)?;
        let batch_size = network.x.rows();
        let pass = Pass::new(&vae.gpu, images.count(), batch_size)?;
        let device_images = vae.upload(images, Stream::BinariseEvaluation)?;
        let (mut prepare, mut program) = (Program::default(), Program::default());
        prepare.extend(network.prepare()?);
        program.push(device_images.gather(&vae.gpu, &pass.step, &pass.order, &network.x)?);
        program.extend(network.forward(&pass.step)?);
        program.push(network.finish(&pass)?);
        let key = noise::key(seed, Stream::Evaluation);
        let kl_weight = kl_weight as f32;
        let steps = batches(images.count(), batch_size)
            .zip(0..)
            .map(|((first, rows), row)| Step { row, first, rows, kl_weight, key, ..Step::default() })
            .collect();
        Ok(Evaluation { vae: vae.clone(), pass, prepare, program, order: sequential(images.count()), steps })
    }

    /// Evaluates the model with the parameters that it has now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFiniteValue`] if the loss is NaN or infinite; [`Error::Gpu`] if the device was lost.
    pub fn run(&mut self) -> Result<Averages, Error> {
        let averages = self.averages()?;
        if averages.loss.is_finite() {
            return Ok(averages);
        }
        let (operation, place) = ("evaluating the model", "the loss".to_owned());
        Err(Error::NotFiniteValue { operation, place, value: averages.loss as f32 })
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
