//! A running training and its directory.

mod console;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use elbo::Error;
use elbo::data::DataRef;
use elbo::gpu::Gpu;
use elbo::run::{Distributions, RunConfig, RunDirectory, TensorBoard};
use elbo::step::metrics::EpochMetrics;
use elbo::train::{Plan, Trainer};
use indicatif::ProgressBar;

use super::device::reopen;
use super::preview;
use super::progress;
use super::shown::Shown;
use super::writer::Writer;
use crate::cli::{GpuArgs, stop_on_interrupt, warn};

/// What a process does that is not part of its run.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub struct RunArgs {
    /// If the device is lost, as when a driver is reset, open it again up to N times and go on from the last checkpoint
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry: u32,
    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Show 8 samples after each epoch, as blocks of 24-bit colour, if standard output is a terminal
    #[arg(long)]
    pub preview: bool,
}

/// The time that a driver gets to come back.
const PAUSE: Duration = Duration::from_secs(1);

/// A running training and its directory.
pub struct Training {
    run: RunDirectory,
    config: RunConfig,
    gpu: Gpu,
    trainer: Trainer,
    /// The epochs that are done.
    pub history: Vec<EpochMetrics>,
    writer: Writer,
    tensorboard: Option<TensorBoard>,
    /// When the state was last written.
    written: Instant,
    args: RunArgs,
}

impl Training {
    pub fn new(run: RunDirectory, config: RunConfig, gpu: Gpu, trainer: Trainer, args: RunArgs) -> Training {
        let (history, writer, written) = (Vec::new(), Writer::default(), Instant::now());
        Training { run, config, gpu, trainer, history, writer, tensorboard: None, written, args }
    }

    /// Trains to the end, or until Ctrl-C.
    pub fn run(mut self, data: DataRef<'_>, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let stop = stop_on_interrupt("the current steps");
        self.introduce(data)?;
        self.begin_events(data)?;
        let bar = progress::bar(&self.trainer, self.args.quiet);
        let trained = self.try_to_train(&bar, &stop, data, &|config| reopen(config, gpu));
        bar.finish_and_clear();
        // However the training ended, the writer finishes first. An error of the writer is the earlier one.
        self.writer.finish()?;
        if let Err(error) = trained {
            self.trace(&error, data, &stop);
            self.say(self.what_is_kept())?;
            return Err(error);
        }
        if !self.is_over() {
            self.run.write_checkpoint(&self.trainer.snapshot()?, false)?;
            return self.interrupted();
        }
        self.conclude(data)
    }

    /// Trains, and opens a device that was lost again.
    fn try_to_train(
        &mut self,
        bar: &ProgressBar,
        stop: &AtomicBool,
        data: DataRef<'_>,
        open: &dyn Fn(&RunConfig) -> Result<Gpu, Error>,
    ) -> Result<(), Error> {
        let mut trained = self.train(bar, stop, data);
        for left in (0..self.args.retry).rev() {
            let Err(error) = &trained else { break };
            if !self.gpu.is_lost() || stop.load(Ordering::Relaxed) {
                break;
            }
            self.writer.finish()?;
            bar.suspend(|| warn(format_args!("{error}; opening the adapter again, {left} more times if that fails")));
            std::thread::sleep(PAUSE);
            trained =
                open(&self.config).and_then(|gpu| self.go_back(gpu, data)).and_then(|()| self.train(bar, stop, data));
        }
        trained
    }

    /// Goes back to the last checkpoint, or to the beginning, on a new device.
    fn go_back(&mut self, gpu: Gpu, data: DataRef<'_>) -> Result<(), Error> {
        self.trainer = self.trainer_from_checkpoint(&gpu, data)?;
        self.gpu = gpu;
        let done = self.trainer.progress().epochs;
        self.history.retain(|line| line.epoch <= done);
        self.begin_events(data)
    }

    /// Begins to write what TensorBoard shows, if that is asked for: what it shows of epochs that are trained again is replaced.
    fn begin_events(&mut self, data: DataRef<'_>) -> Result<(), Error> {
        if self.config.output.tensorboard {
            let (held_out, done) = (data.held_out().0, self.trainer.progress().epochs);
            self.tensorboard = Some(TensorBoard::begin(&self.run, &self.config, held_out, done)?);
        }
        Ok(())
    }

    fn trainer_from_checkpoint(&self, gpu: &Gpu, data: DataRef<'_>) -> Result<Trainer, Error> {
        let (options, checkpoint) = (&self.config.config, self.run.checkpoint());
        if checkpoint.exists() {
            Trainer::resume(gpu, data, &options.training, &checkpoint)
        } else {
            Trainer::new(gpu, &Plan::new(options, data)?)
        }
    }

    /// Trains until all epochs are done or `stop` is set. The writer may then still be writing the last epoch.
    fn train(&mut self, bar: &ProgressBar, stop: &AtomicBool, data: DataRef<'_>) -> Result<(), Error> {
        let (epochs, positions) = (self.trainer.epochs(), self.trainer.positions_per_example());
        while !self.is_over() && !stop.load(Ordering::Relaxed) {
            let due = self.config.output.checkpoint_interval().map(|interval| self.written + interval);
            let metrics = self.trainer.epoch(|update| {
                progress::show(bar, update, epochs, &self.history);
                let pauses = stop.load(Ordering::Relaxed) || due.is_some_and(|due| Instant::now() >= due);
                if pauses { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            match metrics {
                // What is written may print notes.
                Some(metrics) => bar.suspend(|| self.end_epoch(metrics, positions, data))?,
                None if stop.load(Ordering::Relaxed) => break,
                None => self.write_state()?,
            }
        }
        Ok(())
    }

    /// Says and writes what an epoch has brought.
    fn end_epoch(&mut self, metrics: EpochMetrics, positions: Option<f64>, data: DataRef<'_>) -> Result<(), Error> {
        self.say(progress::summary(&metrics, self.trainer.epochs(), positions))?;
        self.note(&metrics)?;
        self.history.push(metrics);
        let mut lines = self.write_epoch(data)?;
        if self.args.preview && !self.args.quiet {
            lines.extend(preview::lines(self.trainer.vae())?);
        }
        lines.iter().try_for_each(|line| self.say(format_args!("  {line}")))
    }

    /// Whether the last epoch is done.
    fn is_over(&self) -> bool {
        self.trainer.progress().epochs >= self.trainer.epochs() || self.trainer.stopped_early()
    }

    /// Reads from the GPU everything that an epoch adds to the run. The writer does the rest. Returns a few sentences, if it is text.
    fn write_epoch(&mut self, data: DataRef<'_>) -> Result<Vec<String>, Error> {
        let epoch = self.trainer.progress().epochs;
        let checkpoint = self.trainer.snapshot()?;
        let best = self.history.last().is_some_and(|metrics| metrics.best);
        let vae = self.trainer.vae();
        let output = self.config.output;
        let shown = output.has_pictures(epoch, self.is_over()) && Shown::fits(vae.model()).is_ok();
        let pictures = shown.then(|| Shown::decode(vae, data.test(), self.trainer.seed())).transpose();
        let events = self.tensorboard.clone().map(|board| {
            Distributions::read(&self.trainer, data.held_out().1).map(|distributions| (board, distributions))
        });
        let events = events.transpose();
        let decoded = pictures.is_ok() && events.is_ok();
        let few = pictures.as_ref().ok().and_then(Option::as_ref).map(Shown::few).unwrap_or_default();
        let (run, history, model) = (self.run.clone(), self.history.clone(), vae.model().clone());
        self.writer.start(move || {
            // The metrics come before the checkpoint: see [`super::Resume`].
            run.write_metrics(&history)?;
            if let (Ok(Some((board, distributions))), Some(metrics)) = (&events, history.last()) {
                board.write(metrics, distributions)?;
            }
            run.keep_checkpoint(&checkpoint, epoch, output.keep)?;
            run.write_checkpoint(&checkpoint, best)?;
            let (events, Some(pictures)) = (events?, pictures?) else { return Ok(()) };
            pictures.write(&run, epoch)?;
            events.map_or(Ok(()), |(board, _)| board.show(epoch, &Shown::files(&run, &model, epoch)))
        })?;
        self.written = Instant::now();
        // If decoding failed, the run ends now and not an epoch later. The model is kept all the same.
        if !decoded {
            self.writer.finish()?;
        }
        Ok(few)
    }

    /// Writes the state in the middle of an epoch.
    fn write_state(&mut self) -> Result<(), Error> {
        self.writer.finish()?;
        self.run.write_checkpoint(&self.trainer.snapshot()?, false)?;
        self.written = Instant::now();
        Ok(())
    }

    /// Looks for the first value of a training that diverged, and says where it is.
    fn trace(&self, error: &Error, data: DataRef<'_>, stop: &AtomicBool) {
        let Error::Diverged { epoch, step, .. } = *error else { return };
        let Ok(mut trainer) = self.trainer_from_checkpoint(&self.gpu, data) else { return };
        let progress = trainer.progress();
        if progress.epochs + 1 != epoch || progress.steps >= step {
            return;
        }
        let steps = step - progress.steps;
        if !self.args.quiet {
            warn(format_args!(
                "note: looking for the first such value, in the last {steps} steps again (Ctrl-C ends this)"
            ));
        }
        let on_update =
            || if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        match trainer.trace(step, on_update) {
            Ok(Some(origin)) => warn(format_args!("note: {origin}")),
            Ok(None) => {}
            Err(error) => warn(format_args!("note: it was not found: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use elbo::config::Config;
    use elbo::data::{Dataset, ImageShape, Images, Split};
    use elbo::gpu::AdapterRequest;
    use elbo::run::OutputConfig;

    use super::*;

    fn data() -> Dataset {
        let bytes = (0..200 * 16).map(|i: u32| (i * 37 % 251) as u8).collect();
        let images = Images::new(bytes, 200, ImageShape::grey(4, 4)).expect("images");
        let split = Split { images, labels: None };
        Dataset { name: "small".into(), train: split.clone(), validation: None, test: split }
    }

    fn training(directory: &Path, data: &Dataset, gpu: &Gpu, retry: u32) -> Training {
        let mut config = Config::default();
        (config.training.epochs, config.training.batch_size, config.model.latents) = (Some(3), 20, 2);
        config.model.hidden = "8".parse().ok();
        let trainer = Trainer::new(gpu, &Plan::new(&config, data).expect("a plan")).expect("a trainer");
        let output = OutputConfig { tensorboard: true, ..OutputConfig::default() };
        let (version, adapter) = (String::new(), Some(gpu.adapter().clone()));
        let config = RunConfig { version, config, output, adapter, kernels: trainer.kernels() };
        let run = RunDirectory::create(Some(directory), false, &config).expect("a directory");
        Training::new(run, config, gpu.clone(), trainer, RunArgs { retry, quiet: true, preview: false })
    }

    fn train(training: &mut Training, data: &Dataset) -> Result<(), Error> {
        let (bar, stop) = (ProgressBar::hidden(), AtomicBool::new(false));
        let open = |_: &RunConfig| Gpu::open(&AdapterRequest::default());
        let trained = training.try_to_train(&bar, &stop, data.into(), &open);
        training.writer.finish().expect("written");
        trained
    }

    #[test]
    fn a_lost_device_is_opened_again_and_the_bits_stay_the_same() {
        let (data, directory) = (data(), tempfile::tempdir().expect("a directory"));
        let model = |name: &str| fs::read(directory.path().join(name).join("model.safetensors")).expect("a model");
        let gpu = Gpu::open(&AdapterRequest::default()).expect("a device");
        train(&mut training(&directory.path().join("whole"), &data, &gpu, 0), &data).expect("trained");
        // Before the first checkpoint, and after it.
        for epochs in [0, 1] {
            let name = format!("after {epochs}");
            let gpu = Gpu::open(&AdapterRequest::default()).expect("a device");
            let mut training = training(&directory.path().join(&name), &data, &gpu, 1);
            for _ in 0..epochs {
                let metrics =
                    training.trainer.epoch(|_| ControlFlow::Continue(())).expect("trained").expect("an epoch");
                training.history.push(metrics);
                training.write_epoch((&data).into()).expect("written");
            }
            gpu.lose();
            train(&mut training, &data).expect("trained");
            assert_eq!(training.history.len(), 3);
            assert!(model(&name) == model("whole"), "other bits");
            assert!(directory.path().join(&name).join("tensorboard/test").exists(), "no events after it");
        }
    }

    #[test]
    fn a_lost_device_without_a_retry_is_one_message_that_says_what_is_kept() {
        let (data, directory) = (data(), tempfile::tempdir().expect("a directory"));
        let gpu = Gpu::open(&AdapterRequest::default()).expect("a device");
        let mut training = training(&directory.path().join("run"), &data, &gpu, 0);
        let metrics = training.trainer.epoch(|_| ControlFlow::Continue(())).expect("trained").expect("an epoch");
        training.history.push(metrics);
        training.write_epoch((&data).into()).expect("written");
        gpu.lose();
        let error = train(&mut training, &data).expect_err("lost").to_string();
        assert!(error.contains("the device was lost") && !error.contains('\n'), "{error}");
        let kept = training.what_is_kept();
        assert!(kept.contains("as of epoch 1") && kept.contains("elbo resume") && kept.contains("--retry"), "{kept}");
    }
}
