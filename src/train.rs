//! Training: the epochs, each a pass over the training set and an evaluation on images that it does not train on.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::{Config, TrainingConfig, require};
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
    /// How the held-out loss has gone.
    #[serde(default)]
    pub course: Course,
}

/// How the held-out loss has gone: what the best model, early stopping and the schedule `plateau` go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The epoch of the lowest loss, and that loss.
    pub best: Option<(u32, f64)>,
    /// Epochs since then that count: those of the KL warm-up do not.
    pub stalled: u32,
    /// Epochs since then, or since the last cut of the learning rate.
    plateau: u32,
    /// How often the learning rate was cut.
    cuts: u32,
}

impl Course {
    /// The course after an epoch of that loss.
    fn after(self, epoch: u32, loss: f64, warming_up: bool, patience: u32) -> Course {
        if self.best.is_none_or(|(_, best)| loss < best) {
            return Course { best: Some((epoch, loss)), stalled: 0, plateau: 0, ..self };
        }
        let stalled = if warming_up { 0 } else { self.stalled + 1 };
        let plateau = self.plateau + 1;
        if plateau < patience {
            return Course { stalled, plateau, ..self };
        }
        Course { stalled, plateau: 0, cuts: self.cuts + 1, ..self }
    }
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
    /// Whether the evaluation is on images to validate with, and not on the test set.
    validates: bool,
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
        vae.start_prior(images, config.training.seed)?;
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
        config.objective.validate_for(&vae.model().config)?;
        vae.check_size("training a model", &data.train.images)?;
        progress.check(data.train.images.count(), config.batch_size)?;
        let gpu = vae.gpu().clone();
        let optimiser = config.adam;
        let validates = data.validation.is_some();
        require(
            "--patience",
            validates || config.patience == 0,
            "--validation or data with a validation part",
            config.patience,
        )?;
        let (train, held_out) = (&data.train.images, &data.validation.as_ref().unwrap_or(&data.test).images);
        let network = Network::new(&vae, config.batch_size, &config.objective)?;
        let pass = Pass::new(&gpu, train.count(), config.batch_size)?;
        let [gradients, moment1, moment2] = [(); 3].map(|()| nn::arena(&gpu, &vae.specs));
        let (gradients, moment1, moment2) = (gradients?, moment1?, moment2?);

        let mut program = Program::default();
        program.push(vae.upload(train, Stream::Binarise)?.gather(&gpu, &pass.step, &pass.order, &network.x)?);
        program.extend(network.prepare()?);
        program.extend(network.forward(&pass.step)?);
        program.extend(network.backward(&pass.step, &gradients)?);
        program.push(optimiser.update(&gpu, &pass.step, &vae.parameters, &gradients, &moment1, &moment2)?);
        program.push(network.finish(&pass)?);

        Ok(Trainer {
            evaluation: Evaluation::new(&vae, &network, held_out, config.kl_weight, config.seed)?,
            vae,
            config: config.clone(),
            optimiser,
            moment1,
            moment2,
            gradients,
            examples: train.count(),
            pass,
            program,
            validates,
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

    /// Whether the loss on the images to validate with has been too high for too long.
    pub fn stopped_early(&self) -> bool {
        self.config.patience > 0 && self.progress.course.stalled >= self.config.patience
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
        while self.progress.epochs < self.config.epochs && !self.stopped_early() {
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
        let held_out = self.evaluation.averages()?;
        if !held_out.loss.is_finite() {
            return Err(not_finite(epoch, steps.len() as u32, held_out.loss as f32));
        }
        // Where a comparison decides, as in relu, a driver may lose NaN, and then the loss does not show it.
        let parameters = self.vae.parameters.whole().read::<f32>(&self.vae.gpu)?;
        if let Some(value) = parameters.iter().find(|value| !value.is_finite()) {
            return Err(not_finite(epoch, steps.len() as u32, *value));
        }
        let learning_rate = self.learning_rate(epoch);
        let course = self.progress.course;
        let warming_up = self.kl_weight(epoch, 0, steps.len()) < self.config.kl_weight;
        let course = course.after(epoch, held_out.loss, warming_up, self.config.learning_rate_patience);
        self.progress = Progress { epochs: epoch, course, ..Progress::default() };
        Ok(Some(EpochMetrics {
            epoch,
            train: sums.averages(),
            validation: self.validates.then_some(held_out),
            test: (!self.validates).then_some(held_out),
            best: self.validates && course.best.is_some_and(|(best, _)| best == epoch),
            kl_weight: self.kl_weight(epoch, steps.len() - 1, steps.len()),
            learning_rate,
            examples_per_second: of as f64 / seconds,
            seconds,
        }))
    }

    /// The table of steps of an epoch.
    fn steps(&self, epoch: u32) -> Vec<Step> {
        let TrainingConfig { batch_size, seed, .. } = self.config;
        let per_epoch = self.examples.div_ceil(batch_size);
        let key = noise::key(seed, Stream::Training);
        let learning_rate = self.learning_rate(epoch) as f32;
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

    fn learning_rate(&self, epoch: u32) -> f64 {
        self.config.learning_rate_schedule.rate(&self.config, epoch, self.progress.course.cuts)
    }

    /// The KL weight of a step: it grows linearly over the first `kl_warmup` epochs, or `kl_warmup_steps` steps.
    fn kl_weight(&self, epoch: u32, row: usize, per_epoch: usize) -> f64 {
        let TrainingConfig { kl_weight, kl_warmup, kl_warmup_steps, .. } = self.config;
        let epochs = f64::from(epoch - 1) + (row + 1) as f64 / per_epoch as f64;
        let grown = match (kl_warmup, kl_warmup_steps) {
            (0, 0) => 1.0,
            (0, steps) => ((f64::from(epoch - 1) * per_epoch as f64 + (row + 1) as f64) / f64::from(steps)).min(1.0),
            (warmup, _) => (epochs / f64::from(warmup)).min(1.0),
        };
        kl_weight * grown
    }
}

fn check_finite(epoch: u32, step: &Step, sums: &StepSums) -> Result<(), Error> {
    if sums.loss.is_finite() { Ok(()) } else { Err(not_finite(epoch, step.row + 1, sums.loss)) }
}

fn not_finite(epoch: u32, step: u32, value: f32) -> Error {
    Error::NotFinite { epoch, step, value }
}
