//! What TensorBoard shows of a run: `tensorboard/train`, and `tensorboard/validation` or `tensorboard/test`. A step is an epoch.

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::ImageDecoder;
use image::codecs::png::PngDecoder;
use walkdir::WalkDir;

use super::{RunConfig, RunDirectory, remove};
use crate::Error;
use crate::data::Examples;
use crate::files::events::{self, EventFile, Value};
use crate::step::metrics::{Averages, EpochMetrics};
use crate::train::Trainer;

/// The folder in a run's directory.
pub(super) const FOLDER: &str = "tensorboard";
const TRAIN: &str = "train";
/// The folders in it: there are two of them.
const WRITERS: [&str; 3] = [TRAIN, "validation", "test"];
/// The examples whose posteriors are shown.
const EXAMPLES: usize = 1000;
/// The characters of an option that the table shows.
const LONGEST: usize = 200;

/// The event files of one process. Readers take each folder for one source of events, so there is a file in each.
#[derive(Clone, Debug)]
pub struct TensorBoard {
    train: EventFile,
    held_out: EventFile,
}

/// Numbers of an epoch whose distributions are shown, in host memory.
#[derive(Debug)]
pub struct Distributions {
    /// The posterior means of held-out examples.
    means: Vec<f32>,
    /// The gradients of the epoch's last batch, by parameter.
    gradients: Vec<(String, Vec<f32>)>,
}

impl Distributions {
    /// Reads them from the GPU, after an epoch. `held_out` are the examples that the epoch was evaluated on.
    ///
    /// # Errors
    ///
    /// As [`crate::Vae::encode`].
    pub fn read(trainer: &Trainer, held_out: Examples<'_>) -> Result<Distributions, Error> {
        let (vae, seed) = (trainer.vae(), trainer.seed());
        let count = EXAMPLES.min(held_out.count());
        let means = match held_out {
            Examples::Images(images) => vae.encode(&images.slice(0..count)?, seed)?.mean,
            Examples::Sentences(sentences) => vae.encode(&sentences.slice(0..count)?, seed)?.mean,
        };
        let arena = trainer.batch_gradients();
        let names = arena.tensors().map(|(name, _)| name.to_owned());
        Ok(Distributions { means, gradients: names.zip(arena.read(vae.gpu())?).collect() })
    }
}

impl TensorBoard {
    /// Begins event files for the epochs after `done`, which replace what is shown of later epochs, with the options of the run.
    /// `held_out` is the name of the set that epochs are evaluated on.
    ///
    /// # Errors
    ///
    /// As [`EventFile::begin`].
    pub fn begin(run: &RunDirectory, config: &RunConfig, held_out: &str, done: u32) -> Result<TensorBoard, Error> {
        let begin = |name| EventFile::begin(&run.path().join(FOLDER).join(name), done + 1);
        let (train, held_out) = (begin(TRAIN)?, begin(held_out)?);
        train.append(done + 1, vec![Value::markdown("configuration", &table(config))])?;
        Ok(TensorBoard { train, held_out })
    }

    /// Writes an epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be written.
    pub fn write(&self, metrics: &EpochMetrics, distributions: &Distributions) -> Result<(), Error> {
        let mut train = terms(metrics.train);
        train.push(scalar("kl_weight", metrics.kl_weight));
        train.push(scalar("learning_rate", metrics.learning_rate));
        train.push(scalar("examples_per_second", metrics.examples_per_second));
        train.extend(metrics.gradient_norm.map(|norm| scalar("gradient_norm", norm)));
        let of_gradient = |(name, values): &(String, Vec<f32>)| Value::histogram(&format!("gradients/{name}"), values);
        train.extend(distributions.gradients.iter().filter_map(of_gradient));
        let mut held_out = terms(metrics.held_out().1);
        held_out.extend(metrics.active_units.map(|units| scalar("active_units", units as f64)));
        held_out.extend(Value::histogram("posterior/mean", &distributions.means));
        self.train.append(metrics.epoch, train)?;
        self.held_out.append(metrics.epoch, held_out)
    }

    /// Writes what the files of an epoch show: samples and reconstructions, as pictures or as text.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read or written.
    pub fn show(&self, epoch: u32, files: &[(&str, PathBuf)]) -> Result<(), Error> {
        let read = |(what, path): &(&str, PathBuf)| read(what, path).map_err(Error::io("read", path));
        self.train.append(epoch, files.iter().map(read).collect::<Result<_, _>>()?)
    }
}

/// A number under its name in `metrics.jsonl`.
fn scalar(name: &str, value: f64) -> Value {
    Value::scalar(&format!("epoch/{name}"), value)
}

/// The scalars that both sets have.
fn terms(averages: Averages) -> Vec<Value> {
    let Averages { elbo, nll, kl, loss } = averages;
    let named = [("elbo", elbo), ("nll", nll), ("kl", kl), ("loss", loss)];
    named.map(|(name, value)| scalar(name, value)).to_vec()
}

/// The options as a table in Markdown.
fn table(config: &RunConfig) -> String {
    let adapter = config.adapter.as_ref().map_or_else(|| "none: imported".to_owned(), ToString::to_string);
    let about = [("elbo", config.version.clone()), ("adapter", adapter)];
    let about = about.into_iter().map(|(name, value)| (name.to_owned(), value));
    let mut table = "| option | value |\n|---|---|\n".to_owned();
    let settings = config.settings().into_iter().map(|setting| (setting.option, setting.value));
    for (name, value) in about.chain(settings) {
        // In code, Markdown leaves all characters as they are but these. Standardised columns have a long list of means.
        let value: String = value.chars().take(LONGEST).collect();
        let value = value.replace('|', "\\|").replace('`', "'").replace(['\n', '\r'], " ");
        table.push_str(&format!("| {name} | `{value}` |\n"));
    }
    table
}

/// A picture or a text file.
fn read(what: &str, path: &Path) -> io::Result<Value> {
    let bytes = fs::read(path)?;
    if path.extension().is_some_and(|extension| extension == "txt") {
        // What is indented is shown as it is.
        let text: String = String::from_utf8_lossy(&bytes).lines().map(|line| format!("    {line}\n")).collect();
        return Ok(Value::markdown(what, &text));
    }
    let picture = PngDecoder::new(Cursor::new(&bytes)).map_err(io::Error::other)?;
    let (width, height) = picture.dimensions();
    let size = [height, width, u32::from(picture.color_type().channel_count())];
    Ok(Value::png(what, size, bytes))
}

/// Makes the folder in a run's directory.
///
/// # Errors
///
/// As [`events::make_folder`].
pub(super) fn make_folder(run: &Path) -> Result<(), Error> {
    events::make_folder(&run.join(FOLDER).join(TRAIN))
}

/// Removes the event files of an earlier run.
///
/// # Errors
///
/// [`Error::Io`] if one cannot be removed.
pub(super) fn clear(run: &Path) -> Result<(), Error> {
    for folder in WRITERS.map(|name| run.join(FOLDER).join(name)) {
        for path in events::files(&folder).into_iter().flatten() {
            remove(&path, |path| fs::remove_file(path))?;
        }
    }
    Ok(())
}

/// Whether a folder has nothing but event files of a run.
pub(super) fn has_no_others(folder: &Path) -> bool {
    let files = WalkDir::new(folder).into_iter().flatten().filter(|entry| !entry.file_type().is_dir());
    let own: Vec<_> = WRITERS.iter().flat_map(|name| events::files(&folder.join(name)).into_iter().flatten()).collect();
    files.into_iter().all(|entry| own.iter().any(|path| path == entry.path()))
}
