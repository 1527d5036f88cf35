//! Training: each epoch is a pass over the training set and an evaluation on the validation or test set.

mod checkpoint;
mod divergence;
mod epoch;
mod history;
mod plan;
mod player;
mod recipe;
mod replay;
mod table;
mod trace;

pub use checkpoint::Checkpoint;
pub use history::HeldOutHistory;
pub use plan::Plan;
pub use player::Player;
pub use recipe::{StepSizes, TrainingStep};
pub use replay::{PassTables, TrainingPrograms};
pub use trace::Origin;

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::TrainingConfig;
use crate::data::Fingerprint;
use crate::eval::{Evaluation, LossWeights};
use crate::gpu::{Arena, DispatchTime, Gpu, HostTime, KernelTable, Program};
use crate::noise::Stream;
use crate::step::Segment;
use crate::step::metrics::{self, EpochMetrics, Sums};
use crate::vae::{Network, Vae};
use divergence::Divergence;
use table::Table;

/// The progress of a training: everything that resuming needs apart from the parameters and the optimiser's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Whole epochs done.
    pub epochs: u32,
    /// Steps done of the current epoch.
    pub steps: u32,
    /// The sums over those steps.
    pub sums: Sums,
    /// The seconds that they took.
    pub seconds: f64,
    /// The history of the held-out loss.
    #[serde(default, rename = "course")]
    pub history: HeldOutHistory,
}

impl Progress {
    /// Checks that the current epoch was begun with the same number of examples and the same batch size.
    fn check(&self, examples: usize, batch_size: usize) -> Result<(), Error> {
        let done = u64::from(self.steps) * batch_size as u64;
        if self.sums.examples == done && done < examples as u64 {
            return Ok(());
        }
        Err(Error::Argument {
            operation: "resuming an epoch",
            expected: format!(
                "the data and batch size it was begun with, {} examples in {} steps",
                self.sums.examples, self.steps
            ),
            found: format!("{examples} training examples in batches of {batch_size}"),
        })
    }
}

/// The progress in the middle of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochProgress {
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
///
/// ```
/// use std::ops::ControlFlow;
///
/// # use elbo::data::{ImageShape, Images, Split};
/// # use elbo::Dataset;
/// use elbo::{AdapterRequest, Config, Gpu, Plan, Trainer};
///
/// # fn main() -> Result<(), elbo::Error> {
/// # let directory = tempfile::tempdir().map_err(elbo::Error::io("create", "a temporary directory"))?;
/// # let path = directory.path().join("checkpoint.safetensors");
/// # let images = Images::new([[0; 8], [255; 8]].concat().repeat(256), 256, ImageShape::grey(4, 4))?;
/// # let split = Split { images, labels: None };
/// # let data = Dataset { name: "halves".into(), train: split.clone(), validation: None, test: split };
/// let gpu = Gpu::open(&AdapterRequest::default())?;
/// let mut config = Config::default();
/// config.training.epochs = Some(4);
/// let mut trainer = Trainer::new(&gpu, &Plan::new(&config, &data)?)?;
///
/// trainer.run(|metrics, vae| {
///     println!("epoch {}: {:.2} nats, {} parameters", metrics.epoch, metrics.train.elbo, vae.parameter_count());
///     Ok(if metrics.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
/// })?;
///
/// // A checkpoint has everything that the other two epochs need: they end as if nothing had stopped them.
/// trainer.snapshot()?.write(&path)?;
/// let mut trainer = Trainer::resume(&gpu, &data, &config.training, &path)?;
/// trainer.run(|_metrics, _vae| Ok(ControlFlow::Continue(())))?;
/// assert_eq!(trainer.progress().epochs, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trainer {
    vae: Vae,
    config: TrainingConfig,
    examples: usize,
    table: Table,
    step: TrainingStep,
    program: Program,
    evaluation: Evaluation,
    /// Whether the evaluation is on a validation set, and not on the test set.
    validates: bool,
    progress: Progress,
    /// The examples that it is trained and evaluated on.
    data: Fingerprint,
    /// Those of the checkpoint that it goes on from, if that is known.
    begun_with: Option<Fingerprint>,
    divergence: Divergence,
}

impl Trainer {
    /// Makes a fresh model and records its training.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the prior needs more images; [`Error::Limit`] for sizes beyond the adapter's.
    pub fn new(gpu: &Gpu, plan: &Plan<'_>) -> Result<Trainer, Error> {
        let vae = Vae::new(gpu, plan.model.clone(), plan.config.seed)?;
        vae.start_prior(plan.train.examples(), plan.config.seed)?;
        Trainer::from_vae(vae, plan, Progress::default())
    }

    /// Records the training of the plan's model, from its current parameters and `progress` on.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the plan is for another model, or the current epoch was begun with other data;
    /// [`Error::Limit`] for sizes beyond the adapter's.
    pub fn from_vae(vae: Vae, plan: &Plan<'_>, progress: Progress) -> Result<Trainer, Error> {
        if *vae.model() != plan.model {
            let (expected, found) = (format!("{:?}", plan.model), format!("{:?}", vae.model()));
            return Err(Error::Argument { operation: "training a model", expected, found });
        }
        let Plan { config, train, held_out, validates, .. } = plan;
        let train = train.examples();
        progress.check(train.count(), config.batch_size)?;
        let most = Network::most_examples(&vae, config.objective.samples);
        let table = Table::new(config, train.count(), train.lengths(), most);
        vae.model().config.validate_batch(table.micro_batch())?;
        let sizes = StepSizes { examples: table.micro_batch(), chunks: table.chunks(), steps: table.len() };
        let step = TrainingStep::new(&vae, &vae.upload(train, Stream::Binarise)?, config, sizes)?;
        let divergence = Divergence::of(vae.model(), plan.train)?;
        let weights = LossWeights { kl_weight: config.objective.kl_weight, capacity: config.objective.capacity };
        Ok(Trainer {
            evaluation: Evaluation::new(&vae, &step.network, *held_out, weights, config.seed)?,
            vae,
            config: config.clone(),
            examples: train.count(),
            table,
            program: step.joined(),
            step,
            validates: *validates,
            progress,
            data: Fingerprint::of([train, held_out.examples()]),
            begun_with: None,
            divergence,
        })
    }

    /// The model, with the parameters that it has now.
    pub fn vae(&self) -> &Vae {
        &self.vae
    }

    /// The progress of the training.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether the data are those of the checkpoint that the training goes on from, as far as that is known.
    pub fn has_the_data_of_its_checkpoint(&self) -> bool {
        self.begun_with.as_ref().is_none_or(|data| *data == self.data)
    }

    /// The error for a value that is NaN or infinite at this point of the training.
    fn not_finite(&self, what: &'static str, value: f32) -> Error {
        let epoch = self.progress.epochs + u32::from(self.progress.steps > 0);
        self.divergence.error(epoch, self.progress.steps, what, value)
    }

    /// The gradients of the last step.
    pub fn gradients(&self) -> &Arena {
        &self.step.players[0].gradients
    }

    /// The gradients of the last batch.
    pub fn batch_gradients(&self) -> &Arena {
        self.step.players[0].batch_gradients()
    }

    /// The time of each dispatch of a step, measured separately.
    ///
    /// The dispatches are replayed out of order, so the parameters are invalid afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn profile(&self) -> Result<Vec<DispatchTime>, Error> {
        self.first_step()?;
        self.program.profile(&self.vae.gpu)
    }

    /// The host's part of a step, and the time of a step if its kernels have nothing to do, as [`crate::step::Pass::host_time`].
    /// The training can go on after it.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn host_time(&mut self) -> Result<(HostTime, Duration), Error> {
        let (steps, order) = self.table.epoch(1, 0);
        let segment = Segment { order: &order, steps: &steps, from: 0 };
        self.step.pass.host_time(&self.vae.gpu, &self.program, segment)
    }

    /// Makes the first step of an epoch the current one.
    fn first_step(&self) -> Result<(), Error> {
        self.table.epoch(1, 0).0[0].write_to(&self.vae.gpu, &self.step.pass.step)
    }

    /// The choices that led to the kernels of a step.
    pub fn kernels(&self) -> KernelTable {
        self.program.kernels()
    }

    /// The dispatches of one step.
    pub fn dispatches_per_step(&self) -> usize {
        self.program.dispatches().len()
    }

    /// The seed of everything random.
    pub fn seed(&self) -> u64 {
        self.config.seed
    }

    /// The total number of epochs.
    pub fn epochs(&self) -> u32 {
        self.config.epochs_for(self.examples)
    }

    /// Whether the loss on the validation set has had no new minimum for `patience` epochs.
    pub fn stopped_early(&self) -> bool {
        self.config.patience > 0 && self.progress.history.stalled >= self.config.patience
    }

    /// Positions of a training sentence, on average; none for images.
    pub fn positions_per_example(&self) -> Option<f64> {
        self.table.mean_length()
    }

    /// Training examples.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Trains until the configured number of epochs is done, or until `on_epoch` breaks.
    ///
    /// # Errors
    ///
    /// [`Error::Diverged`] if the loss becomes NaN or infinite; the error that `on_epoch` returns.
    pub fn run(
        &mut self,
        mut on_epoch: impl FnMut(&EpochMetrics, &Vae) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        while self.progress.epochs < self.epochs() && !self.stopped_early() {
            if let Some(metrics) = self.epoch(|_| ControlFlow::Continue(()))?
                && on_epoch(&metrics, &self.vae)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }
}
