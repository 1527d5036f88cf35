//! Training: the epochs, each a pass over the training set and an evaluation on images that it does not train on.

mod course;
mod table;

pub use course::Course;

use std::ops::ControlFlow;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::{Config, TrainingConfig};
use crate::data::{Dataset, order};
use crate::error::require;
use crate::eval::{Evaluation, LossWeights};
use crate::gpu::{Arena, DispatchTime, Gpu, Program};
use crate::metrics::{self, EpochMetrics, Sums};
use crate::nn::{self, Mode};
use crate::noise::Stream;
use crate::optim;
use crate::steps::{Pass, Step};
use crate::vae::{Model, Network, Vae};
use table::Table;

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
    moment1: Arena,
    moment2: Arena,
    gradients: Arena,
    examples: usize,
    table: Table,
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
        vae.model().config.validate_objective(&config.objective)?;
        vae.check_size("training a model", &data.train.images)?;
        progress.check(data.train.images.count(), config.batch_size)?;
        let gpu = vae.gpu().clone();
        let validates = data.validation.is_some();
        require(
            "--patience",
            validates || config.patience == 0,
            "--validation or data with a validation part",
            config.patience,
        )?;
        let (train, held_out) = (&data.train.images, &data.validation.as_ref().unwrap_or(&data.test).images);
        vae.check_support(train, "training")?;
        vae.check_support(held_out, if validates { "validation" } else { "test" })?;
        let table = Table::new(config, train.count(), Network::most_examples(&vae, config.objective.samples));
        vae.model().config.validate_batch(table.micro_batch())?;
        let network = Network::new(&vae, table.micro_batch(), &config.objective)?;
        let pass = Pass::with_steps(&gpu, train.count(), table.len())?;
        let [gradients, moment1, moment2] = [(); 3].map(|()| nn::arena(&gpu, &vae.specs));
        let (gradients, moment1, moment2) = (gradients?, moment1?, moment2?);

        let mut program = Program::default();
        program.push(vae.upload(train, Stream::Binarise)?.gather(&gpu, &pass.step, &pass.order, &network.x)?);
        program.extend(network.prepare()?);
        program.extend(network.forward(&pass.step, Mode::Training)?);
        program.extend(network.backward(&pass.step, &gradients)?);
        let mut batch_gradients = gradients.clone();
        if table.chunks() > 1 {
            batch_gradients = nn::arena(&gpu, &vae.specs)?;
            program.push(optim::accumulate(&gpu, &pass.step, &gradients, &batch_gradients)?);
        }
        let (step, parameters) = (&pass.step, &vae.parameters);
        program.push(config.adam.update(&gpu, step, parameters, &batch_gradients, &moment1, &moment2)?);
        program.push(network.finish(&pass)?);

        let weights = LossWeights { kl_weight: config.objective.kl_weight, capacity: config.objective.capacity };
        Ok(Trainer {
            evaluation: Evaluation::new(&vae, &network, held_out, weights, config.seed)?,
            vae,
            config: config.clone(),
            moment1,
            moment2,
            gradients,
            examples: train.count(),
            table,
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
    pub(crate) fn not_finite(&self, what: &'static str, value: f32) -> Error {
        let epoch = self.progress.epochs + u32::from(self.progress.steps > 0);
        Error::NotFinite { what, epoch, step: self.progress.steps, value }
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
    pub fn profile(&self) -> Result<Vec<DispatchTime>, Error> {
        self.first_step()?;
        self.program.profile(&self.vae.gpu)
    }

    /// The same without the copies to textures, as [`Program::profile_kernels`].
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn profile_kernels(&self) -> Result<Vec<DispatchTime>, Error> {
        self.first_step()?;
        self.program.profile_kernels(&self.vae.gpu)
    }

    /// Makes the first step of an epoch the one under way.
    fn first_step(&self) -> Result<(), Error> {
        self.pass.step.write(&self.vae.gpu, bytemuck::cast_slice::<Step, u32>(&self.table.steps(1, 0)[..1]))
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
        let cuts = self.progress.course.cuts;
        let (steps, chunks) = (self.table.steps(epoch, cuts), self.table.chunks());
        let order = order::shuffled(self.examples, self.config.seed, epoch);
        let start = Instant::now();
        let Progress { mut sums, seconds, .. } = self.progress;
        let of = self.examples as u64;
        let from = self.progress.steps as usize * chunks;
        let done = self.pass.run(&self.vae.gpu, &self.program, &order, &steps, from, |row, step_sums| {
            for (step, step_sums) in steps[row..].iter().zip(step_sums) {
                check_finite(epoch, step.row / chunks as u32 + 1, step_sums.first_not_finite())?;
                sums.add(step, step_sums);
            }
            let averages = sums.averages();
            Ok(on_update(&Update { epoch, examples: sums.examples, of, averages }))
        })?;
        let seconds = seconds + start.elapsed().as_secs_f64();
        if done < steps.len() {
            // A pass stops between two batches.
            self.progress = Progress { steps: (done / chunks) as u32, sums, seconds, ..self.progress };
            return Ok(None);
        }
        let updates = steps.len().div_ceil(chunks) as u32;
        let held_out = self.evaluation.averages()?;
        check_finite(epoch, updates, held_out.first_not_finite())?;
        // Where a comparison decides, as in relu, a driver may lose NaN, and then the loss does not show it.
        let parameters = self.vae.parameters.whole().read::<f32>(&self.vae.gpu)?;
        let found = parameters.iter().find(|value| !value.is_finite());
        check_finite(epoch, updates, found.map(|value| ("a parameter", *value)))?;
        let (warming_up, patience) = (self.table.warms_up(epoch), self.config.learning_rate.patience);
        let course = self.progress.course.after(epoch, held_out.loss, warming_up, patience);
        self.progress = Progress { epochs: epoch, course, ..Progress::default() };
        Ok(Some(EpochMetrics {
            epoch,
            train: sums.averages(),
            validation: self.validates.then_some(held_out),
            test: (!self.validates).then_some(held_out),
            best: self.validates && course.best.is_some_and(|(best, _)| best == epoch),
            kl_weight: self.table.last_kl_weight(epoch),
            learning_rate: self.table.learning_rate(epoch, cuts),
            examples_per_second: of as f64 / seconds,
            seconds,
        }))
    }
}

/// Fails if there is a value that is NaN or infinite.
fn check_finite(epoch: u32, step: u32, found: Option<(&'static str, f32)>) -> Result<(), Error> {
    found.map_or(Ok(()), |(what, value)| Err(Error::NotFinite { what, epoch, step, value }))
}
