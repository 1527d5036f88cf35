//! Training: the epochs, each a pass over the training set and an evaluation on the test set.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::{Config, TrainingConfig};
use crate::data::batch::DeviceImages;
use crate::data::{Dataset, order};
use crate::eval::Evaluation;
use crate::gpu::{Arena, Gpu, Program};
use crate::metrics::{self, EpochMetrics, Sums};
use crate::nn;
use crate::noise::{self, Stream};
use crate::objective::ObjectiveConfig;
use crate::optim::Adam;
use crate::steps::{Pass, Step, StepSums, batches};
use crate::vae::{Model, Network, Vae};

/// How far a training has come: all that resuming needs beside the parameters and the moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Whole epochs done.
    pub epochs: u32,
    /// Steps done of the epoch under way.
    pub steps: u32,
    /// The sums over those steps.
    pub sums: Sums,
    /// The seconds that they took.
    pub seconds: f64,
}

impl Progress {
    /// Checks that an epoch which is under way was begun on as many examples, in batches of the same size.
    fn check(&self, examples: usize, batch_size: usize) -> Result<(), Error> {
        let done = u64::from(self.steps) * batch_size as u64;
        if self.sums.examples == done && done < examples as u64 {
            return Ok(());
        }
        Err(Error::Shape {
            operation: "resuming an epoch",
            expected: format!(
                "the data and batch size it was begun with, {} examples in {} steps",
                self.sums.examples, self.steps
            ),
            found: format!("{examples} training examples in batches of {batch_size}"),
        })
    }
}

/// What is known in the middle of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Examples of the epoch done.
    pub examples: u64,
    /// Examples of an epoch.
    pub of: u64,
    /// The epoch's means so far.
    pub averages: metrics::Averages,
}

/// A model in training on a data set that is on the GPU.
pub struct Trainer {
    vae: Vae,
    config: TrainingConfig,
    optimiser: Adam,
    moment1: Arena,
    moment2: Arena,
    gradients: Arena,
    examples: usize,
    pass: Pass,
    program: Program,
    evaluation: Evaluation,
    progress: Progress,
}

impl Trainer {
    /// Makes a fresh model for the data and records its training.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for values that cannot work; [`Error::Limit`] for sizes beyond the adapter's.
    pub fn new(gpu: &Gpu, data: &Dataset, config: &Config) -> Result<Trainer, Error> {
        config.validate()?;
        let images = &data.train.images;
        let model = Model { height: images.height(), width: images.width(), config: config.model.clone() };
        let vae = Vae::new(gpu, model, config.training.seed)?;
        Trainer::from_vae(vae, data, &config.training, Progress::default())
    }

    /// Records the training of a model that exists, from where its parameters are and as far as `progress` says.
    ///
    /// # Errors
    ///
    /// As [`Trainer::new`].
    pub fn from_vae(vae: Vae, data: &Dataset, config: &TrainingConfig, progress: Progress) -> Result<Trainer, Error> {
        config.validate()?;
        config.validate_for(data.train.images.count())?;
        vae.check_size("training a model", &data.train.images)?;
        progress.check(data.train.images.count(), config.batch_size)?;
        let gpu = vae.gpu().clone();
        let optimiser = Adam::default();
        let (train, test) = (&data.train.images, &data.test.images);
        let network = Network::new(&vae, config.batch_size, &config.objective)?;
        let pass = Pass::new(&gpu, train.count(), config.batch_size)?;
        let [gradients, moment1, moment2] = [(); 3].map(|()| nn::arena(&gpu, &vae.specs));
        let (gradients, moment1, moment2) = (gradients?, moment1?, moment2?);

        let mut program = Program::default();
        program.push(DeviceImages::upload(&gpu, train)?.gather(&gpu, &pass.step, &pass.order, &network.x)?);
        program.extend(network.forward(&pass.step)?);
        program.extend(network.backward(&pass.step, &gradients)?);
        program.push(optimiser.update(&gpu, &pass.step, &vae.parameters, &gradients, &moment1, &moment2)?);
        program.push(network.finish(&pass)?);

        Ok(Trainer {
            evaluation: Evaluation::new(&vae, &network, test, config.kl_weight, config.seed)?,
            vae,
            config: config.clone(),
            optimiser,
            moment1,
            moment2,
            gradients,
            examples: train.count(),
            pass,
            program,
            progress,
        })
    }

    /// The model, with the parameters that it has now.
    pub fn vae(&self) -> &Vae {
        &self.vae
    }

    /// How far the training has come.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Adam's first and second moments.
    pub(crate) fn moments(&self) -> (&Arena, &Arena) {
        (&self.moment1, &self.moment2)
    }

    /// The error for a value that is NaN or infinite at this point of the training.
    pub(crate) fn not_finite(&self, value: f32) -> Error {
        not_finite(self.progress.epochs + u32::from(self.progress.steps > 0), self.progress.steps, value)
    }

    /// The gradients of the last step.
    pub fn gradients(&self) -> &Arena {
        &self.gradients
    }

    /// The time of each dispatch of a step by itself.
    ///
    /// The dispatches are replayed out of order, so that the parameters are of no use afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn profile(self) -> Result<Vec<(String, Duration)>, Error> {
        self.pass.step.write(&self.vae.gpu, bytemuck::cast_slice::<Step, u32>(&self.steps(1)[..1]))?;
        self.program.profile(&self.vae.gpu, 4)
    }

    /// The dispatches of one step.
    pub fn dispatches_per_step(&self) -> usize {
        self.program.dispatches().len()
    }

    /// Epochs in all.
    pub fn epochs(&self) -> u32 {
        self.config.epochs
    }

    /// Training examples.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Trains until the configured number of epochs is done, or until `on_epoch` breaks.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if the loss becomes NaN or infinite; what `on_epoch` returns.
    pub fn run(
        &mut self,
        mut on_epoch: impl FnMut(&EpochMetrics, &Vae) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        while self.progress.epochs < self.config.epochs {
            if let Some(metrics) = self.epoch(|_| ControlFlow::Continue(()))?
                && on_epoch(&metrics, &self.vae)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// Trains to the end of the epoch under way and evaluates the model, or stops between two steps when `on_update`
    /// breaks, and then returns nothing; calling it again goes on from there.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if the loss becomes NaN or infinite, or a parameter is at the end of the epoch.
    pub fn epoch(
        &mut self,
        mut on_update: impl FnMut(&Update) -> ControlFlow<()>,
    ) -> Result<Option<EpochMetrics>, Error> {
        let epoch = self.progress.epochs + 1;
        let steps = self.steps(epoch);
        let order = order::shuffled(self.examples, self.config.seed, epoch);
        let start = Instant::now();
        let Progress { mut sums, seconds, .. } = self.progress;
        let of = self.examples as u64;
        let from = self.progress.steps as usize;
        let done = self.pass.run(&self.vae.gpu, &self.program, &order, &steps, from, |row, step_sums| {
            for (step, step_sums) in steps[row..].iter().zip(step_sums) {
                sums.add(step, step_sums);
                check_finite(epoch, step, step_sums)?;
            }
            let averages = sums.averages();
            Ok(on_update(&Update { epoch, examples: sums.examples, of, averages }))
        })?;
        let seconds = seconds + start.elapsed().as_secs_f64();
        if done < steps.len() {
            self.progress = Progress { steps: done as u32, sums, seconds, ..self.progress };
            return Ok(None);
        }
        let test = self.evaluation.averages()?;
        if !test.loss.is_finite() {
            return Err(not_finite(epoch, steps.len() as u32, test.loss as f32));
        }
        // Where a comparison decides, as in relu, a driver may lose NaN, and then the loss does not show it.
        let parameters = self.vae.parameters.whole().read::<f32>(&self.vae.gpu)?;
        if let Some(value) = parameters.iter().find(|value| !value.is_finite()) {
            return Err(not_finite(epoch, steps.len() as u32, *value));
        }
        self.progress = Progress { epochs: epoch, ..Progress::default() };
        Ok(Some(EpochMetrics {
            epoch,
            train: sums.averages(),
            test,
            kl_weight: self.kl_weight(epoch, steps.len() - 1, steps.len()),
            learning_rate: self.config.learning_rate,
            examples_per_second: of as f64 / seconds,
            seconds,
        }))
    }

    /// The table of steps of an epoch.
    fn steps(&self, epoch: u32) -> Vec<Step> {
        let TrainingConfig { batch_size, learning_rate, seed, .. } = self.config;
        let per_epoch = self.examples.div_ceil(batch_size);
        let key = noise::key(seed, Stream::Training);
        let learning_rate = learning_rate as f32;
        let step = |(row, (first, rows)): (usize, (u32, u32))| {
            let t = (epoch - 1) * per_epoch as u32 + row as u32 + 1;
            let (correction1, correction2) = self.optimiser.corrections(t);
            let kl_weight = self.kl_weight(epoch, row, per_epoch) as f32;
            let capacity = self.capacity(epoch, row, per_epoch) as f32;
            Step {
                row: row as u32,
                t,
                first,
                rows,
                learning_rate,
                kl_weight,
                correction1,
                correction2,
                key,
                capacity,
                ..Step::default()
            }
        };
        batches(self.examples, batch_size).enumerate().map(step).collect()
    }

    /// The capacity of a step: it grows linearly over the first `capacity_warmup` epochs.
    fn capacity(&self, epoch: u32, row: usize, per_epoch: usize) -> f64 {
        let ObjectiveConfig { capacity, capacity_warmup, .. } = self.config.objective;
        let done = f64::from(epoch - 1) + (row + 1) as f64 / per_epoch as f64;
        f64::from(capacity) * if capacity_warmup == 0 { 1.0 } else { (done / f64::from(capacity_warmup)).min(1.0) }
    }

    /// The KL weight of a step: it grows linearly over the first `kl_warmup` epochs.
    fn kl_weight(&self, epoch: u32, row: usize, per_epoch: usize) -> f64 {
        let TrainingConfig { kl_weight, kl_warmup, .. } = self.config;
        let done = f64::from(epoch - 1) + (row + 1) as f64 / per_epoch as f64;
        if kl_warmup == 0 { kl_weight } else { kl_weight * (done / f64::from(kl_warmup)).min(1.0) }
    }
}

fn check_finite(epoch: u32, step: &Step, sums: &StepSums) -> Result<(), Error> {
    if sums.loss.is_finite() { Ok(()) } else { Err(not_finite(epoch, step.row + 1, sums.loss)) }
}

fn not_finite(epoch: u32, step: u32, value: f32) -> Error {
    Error::NotFinite { epoch, step, value }
}
