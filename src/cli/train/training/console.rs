//! What a training says.

use std::process::ExitCode;

use elbo::Error;
use elbo::data::DataRef;
use elbo::step::metrics::EpochMetrics;

use super::Training;
use crate::cli::train::shown::Shown;
use crate::cli::{DENSITY, INTERRUPTED, say, warn};

impl Training {
    /// Says what an epoch shows for the first time.
    pub(super) fn note(&self, metrics: &EpochMetrics) -> Result<(), Error> {
        let is_first = |shows: fn(&EpochMetrics) -> bool| shows(metrics) && !self.history.iter().any(shows);
        let is_density = !self.config.config.model.likelihood.is_discrete();
        if is_density && is_first(|metrics| metrics.train.elbo > 0.0) {
            self.say(DENSITY)?;
        }
        if is_first(|metrics| metrics.active_units == Some(0)) {
            let of_text = self.trainer.vae().model().text().is_ok();
            let more =
                if of_text { "--word-dropout 0.3, --kl-cycles 4" } else { "--kl-warmup 10, a smaller --kl-weight" };
            self.say(format_args!(
                "note: no latent is active: the decoder does without them (posterior collapse); {more} or --objective free-bits may help"
            ))?;
        }
        Ok(())
    }

    /// Says what is trained, and on what.
    pub(super) fn introduce(&self, data: DataRef<'_>) -> Result<(), Error> {
        self.say(format_args!("adapter: {}", self.gpu.adapter()))?;
        let validation = data.validation().map(|part| format!("{} validation, ", part.count()));
        self.say(format_args!(
            "data: {}, {} training, {}{} test {}",
            data.name(),
            data.train().count(),
            validation.unwrap_or_default(),
            data.test().count(),
            self.trainer.vae().model().data,
        ))?;
        let parameters = self.trainer.vae().parameter_count();
        self.say(format_args!("run: {}, {parameters} parameters", self.run.path().display()))
    }

    /// Says what a finished training has left.
    pub(super) fn conclude(&self, data: DataRef<'_>) -> Result<ExitCode, Error> {
        let (progress, run) = (self.trainer.progress(), &self.run);
        if progress.epochs < self.trainer.epochs() {
            let stalled = progress.history.stalled;
            self.say(format_args!(
                "stopped early: no better epoch in {stalled}; a larger --patience goes on from here"
            ))?;
        }
        self.say(format_args!("model: {}", run.last_model().display()))?;
        if let (Some(_), Some((epoch, loss))) = (data.validation(), progress.history.best) {
            let path = run.best_model();
            self.say(format_args!("best: {}, epoch {epoch}, validation loss {loss:.2}", path.display()))?;
        }
        match Shown::fits(self.trainer.vae().model()) {
            Ok(()) => Shown::files(run, self.trainer.vae().model(), progress.epochs)
                .into_iter()
                .try_for_each(|(what, path)| self.say(format_args!("{what}: {}", path.display())))?,
            Err(error) => self.say(format_args!("no pictures: {error}"))?,
        }
        self.say(format_args!("curves: {}", run.curves().display()))?;
        if self.config.output.tensorboard {
            self.say(format_args!("events: tensorboard --logdir {}", run.path().display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn interrupted(&self) -> Result<ExitCode, Error> {
        let progress = self.trainer.progress();
        let path = self.run.path().display();
        warn(format_args!(
            "stopped after {} epochs and {} steps; nothing is lost: `elbo resume {path}` goes on from here",
            progress.epochs, progress.steps
        ));
        Ok(ExitCode::from(INTERRUPTED))
    }

    /// Says which files of a failed training are on disk.
    pub(super) fn what_is_kept(&self) -> String {
        let checkpoint = self.run.checkpoint();
        if !checkpoint.exists() {
            return "kept: nothing, the first epoch was not finished".to_owned();
        }
        let advice = if self.gpu.is_lost() {
            format!("; `elbo resume {}` goes on from there, and --retry does so by itself", self.run.path().display())
        } else {
            String::new()
        };
        format!("kept: {} as of epoch {}{advice}", checkpoint.display(), self.trainer.progress().epochs)
    }

    pub(super) fn say(&self, line: impl std::fmt::Display) -> Result<(), Error> {
        if self.args.quiet { Ok(()) } else { say(line) }
    }
}
