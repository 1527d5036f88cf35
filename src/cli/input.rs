//! Data on the command line: what is read, with a progress bar, and which part of it is meant.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use elbo::Error;
use elbo::data::{DataConfig, Dataset, Loaded, Progress, Split};
use elbo::error::require;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{ModelArgs, notify};

/// Loads data to train on, with a progress bar.
pub fn load(config: &DataConfig) -> Result<Loaded, Error> {
    with_progress(|progress| Loaded::new(config, progress))
}

/// Shows a progress bar over the pictures of a folder, if standard error is a terminal.
pub fn with_progress(load: impl FnOnce(Progress<'_>) -> Result<Loaded, Error>) -> Result<Loaded, Error> {
    let bar = image_bar("reading pictures", 0);
    let loaded = load(&|done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    loaded
}

/// A progress bar over images, if standard error is a terminal.
pub fn image_bar(verb: &str, images: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:24}] {pos}/{len}, {eta} left");
    ProgressBar::with_draw_target(Some(images as u64), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(verb.to_owned())
}

/// The data that a model is applied to.
#[derive(Args)]
pub struct DataArgs {
    /// Other data, which are read with the run's options, such as --size; data without parts are used whole [default: what
    /// the run was trained on; a model file outside of its run needs it]
    #[arg(long, value_name = "MNIST|PATH")]
    data: Option<String>,
}

impl DataArgs {
    pub fn load(&self, model: &ModelArgs) -> Result<Dataset, Error> {
        let config = model.config()?.data;
        let Some(source) = &self.data else {
            let found = format!("none, and {} is in no run's directory, which would name them", model.run.display());
            require("--data", model.is_in_a_run(), "the data, mnist or a path", found)?;
            return Ok(load(&config)?.dataset);
        };
        let loaded = with_progress(|progress| Loaded::other(source, &config, progress))?;
        loaded.notes.iter().for_each(|note| notify(note));
        Ok(loaded.dataset)
    }
}

/// A part of the data.
#[derive(Clone, Copy, Debug, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitName {
    /// The training set
    Train,
    /// The validation set
    Validation,
    /// The test set
    #[default]
    Test,
}

impl SplitName {
    pub fn of(self, data: &Dataset) -> Result<&Split, Error> {
        match self {
            SplitName::Train => Ok(&data.train),
            SplitName::Test => Ok(&data.test),
            SplitName::Validation => data.validation.as_ref().ok_or_else(|| Error::Config {
                option: "--split",
                expected: "data with a validation set, or a run with --validation".to_owned(),
                found: data.name.clone(),
            }),
        }
    }
}
