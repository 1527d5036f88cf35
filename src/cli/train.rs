//! `elbo train` and `elbo resume`.

mod pictures;
mod writer;

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use elbo::Error;
use elbo::config::{Config, TrainingConfig};
use elbo::data::{DataConfig, Dataset, Images};
use elbo::gpu::{Gpu, KernelRequest};
use elbo::image::Grid;
use elbo::nn::{NormKind, Variant};
use elbo::run::{OutputConfig, RunConfig, RunDirectory};
use elbo::step::metrics::EpochMetrics;
use elbo::train::{EpochProgress, Plan, Trainer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use self::pictures::{Pictures, RECONSTRUCTIONS};
use self::writer::Writer;
use super::input::load;
use super::{GpuArgs, INTERRUPTED, first, say, stop_on_interrupt, warn};

/// Train a model
///
/// Writes a run directory: config.json, metrics.jsonl (a line an epoch), model.safetensors, best.safetensors if there
/// is a validation set, checkpoint.safetensors (what `elbo resume` needs), curves.png, and a picture of samples and of
/// reconstructions for each epoch (see --pictures-every). Ctrl-C stops between two batches and keeps everything.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo train
  elbo train --hidden 512,256 --latents 32 --activation gelu --epochs 50 --out runs/wide
  elbo train --data /usr/share/datasets/fashion-mnist --likelihood discretised-logistic --out runs/fashion
  elbo train --data pictures --size 64 --likelihood discretised-logistic --out runs/pictures
  elbo train --binarize dynamic --objective iwae --samples 5 --validation 10000 --patience 10 --epochs 100
  elbo train --latents 10 --kl-weight 4 --kl-warmup 5 --out runs/beta")]
pub struct Train {
    #[command(flatten)]
    config: Config,
    /// Examples per step; the last batch of an epoch may be smaller [default: 128, or fewer for few training images, so that an
    /// epoch has 40 steps]
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch_size: Option<usize>,
    #[command(flatten)]
    output: OutputConfig,
    /// The run directory to make [default: the first of runs/1, runs/2, ... that is free]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Replace the run in that directory; other files stay
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
    /// Print nothing but errors
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// Continue a training that was stopped, or train a finished one for longer
///
/// A run that was stopped and resumed on the same adapter ends with the same bits as one that was not.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo resume runs/1
  elbo resume runs/1 --epochs 50")]
pub struct Resume {
    /// The run directory
    run: PathBuf,
    /// Total passes over the training set, including those done [default: as in the run]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Stop after N epochs without a new best loss; 0 for never [default: as in the run]
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Write pictures after every N-th epoch, and after the last one; 0 for the last one only [default: as in the run]
    #[arg(long, value_name = "N")]
    pictures_every: Option<u32>,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

impl Train {
    pub fn run(mut self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        self.config.training.batch_size = self.batch_size.unwrap_or(self.config.training.batch_size);
        self.config.validate()?;
        if let Some(out) = &self.out {
            RunDirectory::check(out, self.overwrite)?;
        }
        let loaded = load(&self.config.data)?;
        let mut notes = loaded.notes;
        let data = loaded.dataset;
        // The full paths are kept, so that the run can be evaluated and resumed from anywhere.
        let DataConfig { source, test_data, .. } = &mut self.config.data;
        for source in std::iter::once(source).chain(test_data) {
            if let Ok(path) = std::fs::canonicalize(&*source)
                && source != Dataset::BUILT_IN
            {
                *source = path.to_string_lossy().into_owned();
            }
        }
        if self.batch_size.is_none() && self.config.training.shrink_batch(data.train.images.count()) {
            let size = self.config.training.batch_size;
            notes.push(format!("batches of {size}, as there are few training images (--batch-size)"));
        }
        let plan = Plan::new(&self.config, &data)?;
        if self.config.model.hidden.is_none() && !self.quiet {
            let (layers, image) = (plan.model().hidden(), plan.model().image);
            let normalised = plan.model().normalise() == NormKind::Batch;
            let normalised = if normalised { ", with batch normalisation" } else { "" };
            say(format_args!("layers: {layers}{normalised}, which suit images of {image} (--hidden for others)"))?;
        }
        let epochs = plan.training().epochs_for(data.train.images.count());
        if self.config.training.epochs.is_none() && epochs != TrainingConfig::default().epochs_for(usize::MAX) {
            notes.push(format!("{epochs} epochs, as there are few training images (--epochs)"));
        }
        self.config.training.epochs = Some(epochs);
        self.config.model = plan.model().config.clone();
        let gpu = gpu.open()?;
        let trainer = Trainer::new(&gpu, &plan)?;
        let config = RunConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config,
            output: self.output,
            adapter: gpu.adapter().clone(),
            kernels: trainer.kernels(),
        };
        let run = RunDirectory::create(self.out.as_deref(), self.overwrite, &config)?;
        if !self.quiet {
            notes.iter().try_for_each(say)?;
        }
        let (output, quiet) = (self.output, self.quiet);
        Training { run, trainer, output, history: Vec::new(), writer: Writer::default(), quiet }.run(&gpu, &data)
    }
}

impl Resume {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let mut config = RunDirectory::open(&self.run).read_config()?;
        let run = RunDirectory::lock(&self.run)?;
        run.require_checkpoint()?;
        config.config.training.epochs = self.epochs.or(config.config.training.epochs);
        config.config.training.patience = self.patience.unwrap_or(config.config.training.patience);
        config.output.pictures_every = self.pictures_every.unwrap_or(config.output.pictures_every);
        config.config.validate()?;
        let mut history = run.read_metrics()?;
        let data = load(&config.config.data)?.dataset;
        let mut request = gpu.request();
        if matches!(request.kernels, KernelRequest::Measured) {
            request.kernels = KernelRequest::As(config.kernels.clone());
        }
        let mut opened = gpu.open_with(&request)?;
        // If this adapter cannot run those kernels, the run continues with others; a note below says so.
        if Variant::all()
            .iter()
            .any(|variant| opened.kernel_request().names(variant.name()) && !variant.runs_on(&opened))
        {
            opened = gpu.open()?;
        }
        let gpu = opened;
        let trainer = Trainer::resume(&gpu, &data, &config.config.training, &run.checkpoint())?;
        if trainer.vae().model().config != config.config.model {
            return Err(run.mixed());
        }
        let done = trainer.progress().epochs;
        // The metrics are written before the checkpoint: a crash between the two leaves one line too many.
        history.retain(|line| line.epoch <= done);
        if done >= trainer.epochs() || trainer.stopped_early() {
            // A run that was killed between the two has an older model than its checkpoint.
            trainer.snapshot()?.write_model(&run.last_model())?;
        }
        if done >= trainer.epochs() {
            say(format_args!("{done} epochs are done: give a larger number with --epochs to train for longer"))?;
            return Ok(ExitCode::SUCCESS);
        }
        if trainer.stopped_early() {
            say(format_args!(
                "stopped early after {done} epochs: give a larger number with --patience, or 0, to go on"
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        let here = (&gpu.adapter().name, &gpu.adapter().driver_version);
        let begun = (&config.adapter.name, &config.adapter.driver_version);
        let same_kernels = config.kernels.is_followed_by(&trainer.kernels());
        if !self.quiet && (here != begun || !same_kernels) {
            let adapter = &config.adapter;
            let kernels = if same_kernels { "" } else { " with other kernels" };
            say(format_args!("note: begun on {adapter}{kernels}; rounding may differ from here on"))?;
        }
        run.write_config(&config)?;
        let (output, quiet) = (config.output, self.quiet);
        Training { run, trainer, output, history, writer: Writer::default(), quiet }.run(&gpu, &data)
    }
}

/// A running training and its directory.
struct Training {
    run: RunDirectory,
    trainer: Trainer,
    output: OutputConfig,
    history: Vec<EpochMetrics>,
    writer: Writer,
    quiet: bool,
}

impl Training {
    fn run(mut self, gpu: &Gpu, data: &Dataset) -> Result<ExitCode, Error> {
        let epochs = self.trainer.epochs();
        let stop = stop_on_interrupt("the current steps");
        let test_images = first(&data.test.images, RECONSTRUCTIONS)?;
        self.say(format_args!("adapter: {}", gpu.adapter()))?;
        let validation = data.validation.as_ref().map(|split| format!("{} validation, ", split.images.count()));
        self.say(format_args!(
            "data: {}, {} training, {}{} test images of {}",
            data.name,
            data.train.images.count(),
            validation.unwrap_or_default(),
            data.test.images.count(),
            data.train.images.shape(),
        ))?;
        let parameters = self.trainer.vae().parameter_count();
        self.say(format_args!("run: {}, {parameters} parameters", self.run.path().display()))?;
        let bar = self.progress_bar();
        let trained = self.train(&bar, &stop, &test_images);
        bar.finish_and_clear();
        // However the training ended, the writer finishes first. An error of the writer is the earlier one.
        self.writer.finish()?;
        trained?;
        if self.trainer.progress().epochs < epochs {
            if !self.trainer.stopped_early() {
                self.run.write_checkpoint(&self.trainer.snapshot()?, false)?;
                return self.interrupted();
            }
            let stalled = self.trainer.progress().history.stalled;
            self.say(format_args!(
                "stopped early: no better epoch in {stalled}; a larger --patience goes on from here"
            ))?;
        }
        let epochs = self.trainer.progress().epochs;
        let run = &self.run;
        self.say(format_args!("model: {}", run.last_model().display()))?;
        if let (Some(_), Some((epoch, loss))) = (&data.validation, self.trainer.progress().history.best) {
            let path = run.best_model();
            self.say(format_args!("best: {}, epoch {epoch}, validation loss {loss:.2}", path.display()))?;
        }
        match Grid::draws(self.trainer.vae().model().image) {
            Ok(()) => {
                self.say(format_args!("samples: {}", run.samples(epochs).display()))?;
                self.say(format_args!("reconstructions: {}", run.reconstructions(epochs).display()))?;
            }
            Err(error) => self.say(format_args!("no pictures: {error}"))?,
        }
        self.say(format_args!("curves: {}", run.curves().display()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Trains until all epochs are done or `stop` is set. The writer may then still be writing the last epoch.
    fn train(&mut self, bar: &ProgressBar, stop: &AtomicBool, test_images: &Images) -> Result<(), Error> {
        let epochs = self.trainer.epochs();
        while !self.is_over() && !stop.load(Ordering::Relaxed) {
            let metrics = self.trainer.epoch(|update| {
                show(bar, update, epochs);
                if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let metrics = match metrics {
                Ok(Some(metrics)) => metrics,
                Ok(None) => break,
                Err(error) => {
                    bar.finish_and_clear();
                    self.writer.finish()?;
                    self.say(self.what_is_kept())?;
                    return Err(error);
                }
            };
            bar.suspend(|| self.say(summary(&metrics, epochs)))?;
            self.history.push(metrics);
            self.write_epoch(test_images)?;
        }
        Ok(())
    }

    /// Whether the last epoch is done.
    fn is_over(&self) -> bool {
        self.trainer.progress().epochs >= self.trainer.epochs() || self.trainer.stopped_early()
    }

    /// Reads from the GPU everything that an epoch adds to the run. The writer does the rest.
    fn write_epoch(&mut self, test_images: &Images) -> Result<(), Error> {
        let epoch = self.trainer.progress().epochs;
        let checkpoint = self.trainer.snapshot()?;
        let best = self.history.last().is_some_and(|metrics| metrics.best);
        let vae = self.trainer.vae();
        let shown = self.output.has_pictures(epoch, self.is_over()) && Grid::draws(vae.model().image).is_ok();
        let pictures = shown.then(|| Pictures::decode(vae, test_images, self.trainer.seed())).transpose();
        let decoded = pictures.is_ok();
        let (run, history) = (self.run.clone(), self.history.clone());
        self.writer.start(move || {
            // The metrics come before the checkpoint: see [`Resume`].
            run.write_metrics(&history)?;
            run.write_checkpoint(&checkpoint, best)?;
            pictures?.map_or(Ok(()), |pictures| pictures.write(&run, epoch))
        })?;
        // If decoding failed, the run ends now and not an epoch later. The model is kept all the same.
        if decoded { Ok(()) } else { self.writer.finish() }
    }

    fn interrupted(&self) -> Result<ExitCode, Error> {
        let progress = self.trainer.progress();
        let path = self.run.path().display();
        warn(format_args!(
            "stopped after {} epochs and {} steps; nothing is lost: `elbo resume {path}` goes on from here",
            progress.epochs, progress.steps
        ));
        Ok(ExitCode::from(INTERRUPTED))
    }

    /// Says which files of a failed training are on disk.
    fn what_is_kept(&self) -> String {
        match self.trainer.progress().epochs {
            0 => "kept: nothing, the first epoch was not finished".to_owned(),
            epoch => format!("kept: {} as of epoch {epoch}", self.run.checkpoint().display()),
        }
    }

    fn say(&self, line: impl std::fmt::Display) -> Result<(), Error> {
        if self.quiet { Ok(()) } else { say(line) }
    }

    /// A progress bar over the whole run if standard error is a terminal, else a hidden one.
    fn progress_bar(&self) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let progress = self.trainer.progress();
        let examples = self.trainer.examples() as u64;
        let bar = ProgressBar::with_draw_target(
            Some(u64::from(self.trainer.epochs()) * examples),
            ProgressDrawTarget::stderr(),
        );
        let style = ProgressStyle::with_template("{msg} [{bar:24}] {percent}% {rate}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                // Nothing can be done about a terminal that accepts no text.
                let _ = write!(text, "{:.0} examples/s", state.per_sec());
            });
        bar.set_style(style);
        bar.set_position(u64::from(progress.epochs) * examples + progress.sums.examples);
        bar.reset_eta();
        bar
    }
}

fn show(bar: &ProgressBar, update: &EpochProgress, epochs: u32) {
    let averages = update.averages;
    bar.set_message(format!("epoch {}/{epochs}, elbo {:.2}, kl {:.2}", update.epoch, averages.elbo, averages.kl));
    bar.set_position(u64::from(update.epoch - 1) * update.of + update.examples);
}

fn summary(metrics: &EpochMetrics, epochs: u32) -> String {
    let EpochMetrics { epoch, train, best, examples_per_second, seconds, .. } = metrics;
    let (name, held_out) = metrics.held_out();
    format!(
        "epoch {epoch}/{epochs}: train elbo {:.2} (nll {:.2}, kl {:.2}), {name} elbo {:.2} (nll {:.2}, kl {:.2}){}, \
         {examples_per_second:.0} examples/s, {seconds:.1} s",
        train.elbo,
        train.nll,
        train.kl,
        held_out.elbo,
        held_out.nll,
        held_out.kl,
        if *best { ", the best so far" } else { "" }
    )
}
