//! `elbo resume`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::data::DataRef;
use elbo::gpu::Gpu;
use elbo::run::{RunConfig, RunDirectory};
use elbo::train::Trainer;

use super::device::reopen;
use super::training::{RunArgs, Training};
use crate::cli::input::{full_path, load};
use crate::cli::{GpuArgs, say};

/// Continue a training that was stopped, or train a finished one for longer
///
/// A run that was stopped and resumed on the same adapter ends with the same bits as one that was not.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo resume runs/1
  elbo resume runs/1 --epochs 50
  elbo resume runs/1 --from 20 --epochs 50
  elbo resume runs/1 --data /mnt/disk/faces")]
pub struct Resume {
    /// The run directory
    run: PathBuf,
    /// Total passes over the training set, including those done [default: as in the run]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Stop after N epochs without a new best loss; 0 for never [default: as in the run]
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Where the data are now, if they moved, or other data to go on with [default: as in the run, and checked to be the same]
    #[arg(long, value_name = "MNIST|PATH")]
    data: Option<String>,
    /// Go on from the checkpoint of epoch N, of those that --keep kept
    #[arg(long, value_name = "N")]
    from: Option<u32>,
    /// Write pictures after every N-th epoch, and after the last one; 0 for the last one only [default: as in the run]
    #[arg(long, value_name = "N")]
    pictures_every: Option<u32>,
    /// Write what TensorBoard shows, from here on [default: as in the run]
    #[arg(long)]
    tensorboard: bool,
    #[command(flatten)]
    args: RunArgs,
}

impl Resume {
    pub fn run(self, gpu_args: &GpuArgs) -> Result<ExitCode, Error> {
        let (run, mut config) = take(&self.run)?;
        let checkpoint = run.require_checkpoint(self.from)?;
        self.change(&mut config)?;
        let loaded = load(&config.config.data)?;
        Begun { run, config, checkpoint }.go_on(loaded.data(), self.data.is_some(), self.args, gpu_args)
    }

    /// Makes the changes to the configuration that were asked for.
    fn change(&self, config: &mut RunConfig) -> Result<(), Error> {
        let RunConfig { config: options, output, .. } = config;
        options.training.epochs = self.epochs.or(options.training.epochs);
        options.training.patience = self.patience.unwrap_or(options.training.patience);
        output.pictures_every = self.pictures_every.unwrap_or(output.pictures_every);
        if let Some(data) = &self.data {
            options.data.source = full_path(data);
        }
        options.validate()?;
        output.tensorboard |= self.tensorboard;
        output.validate()
    }
}

/// Takes the directory of a run that is to go on, with its configuration.
pub fn take(path: &Path) -> Result<(RunDirectory, RunConfig), Error> {
    // Before the lock is taken, which would write to a directory that is no run.
    RunDirectory::open(path).read_config()?;
    let run = RunDirectory::lock(path)?;
    let config = run.read_config()?;
    Ok((run, config))
}

/// A run that goes on.
pub struct Begun {
    pub run: RunDirectory,
    pub config: RunConfig,
    /// What it goes on from.
    pub checkpoint: PathBuf,
}

impl Begun {
    /// Trains to the end, if that is not reached yet. `may_differ` says that the data may be others than those that the run was begun
    /// with.
    pub fn go_on(
        self,
        data: DataRef<'_>,
        may_differ: bool,
        args: RunArgs,
        gpu_args: &GpuArgs,
    ) -> Result<ExitCode, Error> {
        let Begun { run, config, checkpoint } = self;
        let mut history = run.read_metrics()?;
        let gpu = reopen(&config, gpu_args)?;
        let trainer = Trainer::resume(&gpu, data, &config.config.training, &checkpoint)?;
        if trainer.vae().model().config != config.config.model {
            return Err(run.mixed());
        }
        let has_its_data = trainer.has_the_data_of_its_checkpoint();
        if !has_its_data && !may_differ {
            return Err(run.other_data(data.name()));
        }
        let done = trainer.progress().epochs;
        // The metrics are written before the checkpoint: a crash between the two leaves one line too many.
        history.retain(|line| line.epoch <= done);
        if done >= trainer.epochs() || trainer.stopped_early() {
            // A run that was killed between the two has an older model than its checkpoint.
            trainer.snapshot()?.write_model(&run.last_model())?;
            let path = run.path().display();
            let end = if done >= trainer.epochs() {
                format!("{done} epochs are done: `elbo resume {path} --epochs N` trains for longer, up to epoch N")
            } else {
                format!("stopped early after {done} epochs: `elbo resume {path} --patience N`, or 0, goes on")
            };
            if !args.quiet {
                say(end)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if !args.quiet {
            say_differences(&config, &gpu, &trainer)?;
            if !has_its_data {
                say("note: other data than the run was begun with")?;
            }
        }
        run.write_config(&config)?;
        let mut training = Training::new(run, config, gpu, trainer, args);
        training.history = history;
        training.run(data, gpu_args)
    }
}

/// Says what may change the rounding from here on.
fn say_differences(config: &RunConfig, gpu: &Gpu, trainer: &Trainer) -> Result<(), Error> {
    let here = (&gpu.adapter().name, &gpu.adapter().driver_version);
    let Some(adapter) = &config.adapter else { return Ok(()) };
    let begun = (&adapter.name, &adapter.driver_version);
    let same_kernels = config.kernels.is_followed_by(&trainer.kernels());
    if here == begun && same_kernels {
        return Ok(());
    }
    let kernels = if same_kernels { "" } else { " with other kernels" };
    say(format_args!("note: begun on {adapter}{kernels}; rounding may differ from here on"))
}
