//! Data on the command line: what is read, with a progress bar, and which part of it is meant.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use elbo::Error;
use elbo::data::{Corpus, DataConfig, DataRef, Dataset, Examples, Loaded, LoadedText, Progress, Share, Split};
use elbo::error::require;
use elbo::vae::Model;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{ModelArgs, notify};

/// Data of one kind that were loaded.
pub enum AnyData {
    Images(Box<Loaded>),
    Text(Box<LoadedText>),
}

impl AnyData {
    /// The data.
    pub fn data(&self) -> DataRef<'_> {
        match self {
            AnyData::Images(loaded) => DataRef::Images(&loaded.dataset),
            AnyData::Text(loaded) => DataRef::Text(&loaded.corpus),
        }
    }

    /// What was taken for what.
    pub fn notes(&self) -> &[String] {
        match self {
            AnyData::Images(loaded) => &loaded.notes,
            AnyData::Text(loaded) => &loaded.notes,
        }
    }
}

/// Loads data to train on, with a progress bar.
pub fn load(config: &DataConfig) -> Result<AnyData, Error> {
    if Corpus::is_at(config) {
        return Corpus::load(config).map(Box::new).map(AnyData::Text);
    }
    config.text.require_none()?;
    load_images(config).map(Box::new).map(AnyData::Images)
}

/// The full path of data, unless they are built in: a run can be evaluated and resumed from anywhere.
pub fn full_path(source: &str) -> String {
    match std::fs::canonicalize(source) {
        Ok(path) if source != Dataset::BUILT_IN => path.to_string_lossy().into_owned(),
        _ => source.to_owned(),
    }
}

/// The same for images.
pub fn load_images(config: &DataConfig) -> Result<Loaded, Error> {
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
    /// Whether they are others than those of the run.
    pub fn is_other(&self) -> bool {
        self.data.is_some()
    }

    /// Loads images.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the model is one of text.
    pub fn load(&self, args: &ModelArgs, model: &Model) -> Result<Dataset, Error> {
        model.image()?;
        match self.load_any(args, model)? {
            AnyData::Images(loaded) => Ok(loaded.dataset),
            AnyData::Text(_) => unreachable!("data are of the model's kind"),
        }
    }

    /// Loads data of the model's kind.
    pub fn load_any(&self, args: &ModelArgs, model: &Model) -> Result<AnyData, Error> {
        let config = args.config()?.data;
        let of_run = args.is_in_a_run();
        let found = format!("none, and {} is in no run's directory, which would name them", args.run.display());
        require("--data", of_run || self.data.is_some(), "the data, mnist or a path", found)?;
        if let Ok(shape) = model.text() {
            let config = match &self.data {
                None => config,
                Some(source) => DataConfig {
                    source: source.clone(),
                    test_data: None,
                    test: None,
                    validation: Share::default(),
                    ..config
                },
            };
            let is_whole = self.data.is_some();
            let loaded = Corpus::load_for(&config, shape, is_whole)?;
            if is_whole {
                loaded.notes.iter().for_each(|note| notify(note));
            }
            return Ok(AnyData::Text(Box::new(loaded)));
        }
        let Some(source) = &self.data else {
            return load_images(&config).map(Box::new).map(AnyData::Images);
        };
        let loaded = with_progress(|progress| Loaded::other(source, &config, progress))?;
        loaded.notes.iter().for_each(|note| notify(note));
        Ok(AnyData::Images(Box::new(loaded)))
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
    /// A part of images.
    pub fn of_images(self, data: &Dataset) -> Result<&Split, Error> {
        match self {
            SplitName::Train => Some(&data.train),
            SplitName::Test => Some(&data.test),
            SplitName::Validation => data.validation.as_ref(),
        }
        .ok_or_else(|| self.missing(&data.name))
    }

    /// A part of any data.
    pub fn of(self, data: DataRef<'_>) -> Result<Examples<'_>, Error> {
        match self {
            SplitName::Train => Some(data.train()),
            SplitName::Test => Some(data.test()),
            SplitName::Validation => data.validation(),
        }
        .ok_or_else(|| self.missing(data.name()))
    }

    /// The labels of a part, if there are any.
    pub fn labels(self, data: DataRef<'_>) -> Result<Option<&[u8]>, Error> {
        match data {
            DataRef::Images(data) => self.of_images(data).map(|split| split.labels.as_deref()),
            DataRef::Text(_) => Ok(None),
        }
    }

    fn missing(self, data: &str) -> Error {
        let expected = "data with a validation set, or a run with --validation".to_owned();
        Error::Config { option: "--split", expected, found: data.to_owned() }
    }
}
