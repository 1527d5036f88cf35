//! Run directories: what a training writes, and where.

mod config;
mod kept;
mod lock;
mod tensorboard;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::error::require;
use crate::files::{is_temporary, write_atomically};
use crate::image::curves;
use crate::step::metrics::EpochMetrics;
use crate::train::Checkpoint;
pub use config::{OutputConfig, RunConfig};
use lock::{LOCK, Lock};
pub use tensorboard::{Distributions, TensorBoard};

/// A directory that belongs to one run.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Held by a run that trains; clones share it.
    _lock: Option<Arc<Lock>>,
}

/// The default directory of runs.
const RUNS: &str = "runs";
const CONFIG: &str = "config.json";
const METRICS: &str = "metrics.jsonl";
const MODEL: &str = "model.safetensors";
const BEST: &str = "best.safetensors";
const CHECKPOINT: &str = "checkpoint.safetensors";
/// The checkpoints of earlier epochs.
const CHECKPOINTS: &str = "checkpoints";
const CURVES: &str = "curves.png";
const REPORT: &str = "report.html";
const SAMPLES: &str = "samples";
const RECONSTRUCTIONS: &str = "reconstructions";

impl RunDirectory {
    /// Makes the first of `runs/1`, `runs/2`, … that does not exist.
    fn make_next() -> Result<PathBuf, Error> {
        fs::create_dir_all(RUNS).map_err(Error::io("create the directory", RUNS))?;
        for number in 1_u64.. {
            let path = Path::new(RUNS).join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create the directory", &path)(error)),
            }
        }
        unreachable!("no directory has more entries than that")
    }

    /// Fails if a new run must not go to `path`: it has files, and `overwrite` is not set. What a run has left that ended before its
    /// first checkpoint does not count.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] in that case; [`Error::Io`] if it is a file.
    pub fn check(path: &Path, overwrite: bool) -> Result<(), Error> {
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => {
                Err(Error::io("create the directory", path)(io::ErrorKind::AlreadyExists.into()))
            }
            Ok(_) if !overwrite && has_files(path) => Err(Error::Exists { path: path.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Makes the directory, by default the first of `runs/1`, `runs/2`, … that is free, and writes `config.json`. If `overwrite` is
    /// set, it removes the files of an earlier run.
    ///
    /// Other files in the directory stay.
    ///
    /// # Errors
    ///
    /// As [`RunDirectory::check`]; [`Error::Busy`] if another process trains there; [`Error::Io`] if the directory cannot be made or
    /// written.
    pub fn create(path: Option<&Path>, overwrite: bool, config: &RunConfig) -> Result<RunDirectory, Error> {
        let path = match path {
            None => RunDirectory::make_next()?,
            Some(path) => {
                RunDirectory::check(path, overwrite)?;
                fs::create_dir_all(path).map_err(Error::io("create the directory", path))?;
                path.to_owned()
            }
        };
        let run = RunDirectory::lock(&path)?;
        // A run that began and ended since the first check is not replaced.
        RunDirectory::check(&path, overwrite)?;
        // An output that cannot be written must not cost the old run.
        if config.output.tensorboard {
            tensorboard::make_folder(&path)?;
        }
        for file in [METRICS, MODEL, BEST, CHECKPOINT, CURVES, REPORT] {
            remove(&path.join(file), |path| fs::remove_file(path))?;
        }
        for directory in [SAMPLES, RECONSTRUCTIONS, CHECKPOINTS] {
            remove(&path.join(directory), |path| fs::remove_dir_all(path))?;
        }
        tensorboard::clear(&path)?;
        for directory in [SAMPLES, RECONSTRUCTIONS] {
            let directory = path.join(directory);
            fs::create_dir(&directory).map_err(Error::io("create the directory", &directory))?;
        }
        run.write_config(config)?;
        Ok(run)
    }

    /// A directory that exists, for reading.
    pub fn open(path: &Path) -> RunDirectory {
        RunDirectory { path: path.to_owned(), _lock: None }
    }

    /// A directory that exists, for a run that continues. Temporary files of processes that were killed are removed.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if another process trains there; [`Error::Io`] if the directory cannot be written.
    pub fn lock(path: &Path) -> Result<RunDirectory, Error> {
        let lock = Lock::take(path)?;
        for directory in [path.to_owned(), path.join(SAMPLES), path.join(RECONSTRUCTIONS), path.join(CHECKPOINTS)] {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if is_temporary(&entry.file_name()) {
                    remove(&entry.path(), |path| fs::remove_file(path))?;
                }
            }
        }
        Ok(RunDirectory { path: path.to_owned(), _lock: Some(Arc::new(lock)) })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run as its reader knows it: its path as it was given, or the full one of a path such as `.`.
    pub fn name(&self) -> String {
        let full = || fs::canonicalize(Path::new(".").join(&self.path)).unwrap_or_else(|_| self.path.clone());
        // Putting the parts together leaves out a slash at the end.
        let path = if self.path.file_name().is_some() { self.path.components().collect() } else { full() };
        path.display().to_string()
    }

    /// The model after the last epoch.
    pub fn last_model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The model with the lowest loss on the validation set, if there was one.
    pub fn best_model(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// The model that the run stands for: the best one if there is one, else the last.
    pub fn model(&self) -> PathBuf {
        let best = self.best_model();
        if best.is_file() { best } else { self.last_model() }
    }

    /// The state of the training.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// The training curve.
    pub fn curves(&self) -> PathBuf {
        self.path.join(CURVES)
    }

    /// The report.
    pub fn report(&self) -> PathBuf {
        self.path.join(REPORT)
    }

    /// The samples drawn after an epoch.
    pub fn samples(&self, epoch: u32) -> PathBuf {
        self.path.join(SAMPLES).join(format!("{epoch:04}.png"))
    }

    /// The sentences written after an epoch, by a model of text.
    pub fn sentences(&self, epoch: u32) -> PathBuf {
        self.path.join(SAMPLES).join(format!("{epoch:04}.txt"))
    }

    /// The reconstructions made after an epoch.
    pub fn reconstructions(&self, epoch: u32) -> PathBuf {
        self.path.join(RECONSTRUCTIONS).join(format!("{epoch:04}.png"))
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written.
    pub fn write_config(&self, config: &RunConfig) -> Result<(), Error> {
        write_atomically(&self.path.join(CONFIG), |file| {
            serde_json::to_writer_pretty(&mut *file, config)?;
            file.write_all(b"\n")
        })
    }

    /// The last checkpoint, or the one of an epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if there is none, with what to do; [`Error::Config`] if there is none of that epoch.
    pub fn require_checkpoint(&self, epoch: Option<u32>) -> Result<PathBuf, Error> {
        if let Some(epoch) = epoch {
            let kept = self.kept_epochs()?;
            let list = kept.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            let expected = if list.is_empty() { "a run with --keep".to_owned() } else { format!("one of {list}") };
            require("--from", kept.contains(&epoch), &expected, epoch)?;
            return Ok(self.kept(epoch));
        }
        let path = self.checkpoint();
        if path.exists() {
            return Ok(path);
        }
        let out = self.path.display();
        let found = if self.last_model().exists() {
            "a model alone, which `elbo import` brought here: a training needs the state of the optimiser".to_owned()
        } else {
            format!("none, as the run ended before its first epoch did: begin it again with `elbo train --out {out}`")
        };
        Err(Error::Format { path, expected: "the state of the training".to_owned(), found })
    }

    /// The error for a run that has no model, with what to do.
    pub fn without_model(&self) -> Error {
        let path = self.path.display();
        Error::Format {
            path: self.model(),
            expected: "the model of a run".to_owned(),
            found: format!("none: `elbo resume {path}` trains it, and `elbo compare {path} OTHER` needs no model"),
        }
    }

    /// The error for a directory whose checkpoint is that of another model than `config.json` describes.
    pub fn mixed(&self) -> Error {
        Error::Format {
            path: self.checkpoint(),
            expected: format!("the model that {CONFIG} describes"),
            found: "another one: the directory has files of two runs".to_owned(),
        }
    }

    /// The error for data that are not those of the checkpoint.
    pub fn other_data(&self, name: &str) -> Error {
        Error::Config {
            option: "--data",
            expected: format!("the images that {} was trained on", self.path.display()),
            found: format!(
                "others in {name} (`elbo resume {} --data {name}` says that they are meant)",
                self.path.display()
            ),
        }
    }

    /// Whether there is a `config.json`.
    pub fn has_config(&self) -> bool {
        self.path.join(CONFIG).is_file()
    }

    /// Reads `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is none; [`Error::Format`] if its content is not that of a run.
    pub fn read_config(&self) -> Result<RunConfig, Error> {
        let path = self.path.join(CONFIG);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        serde_json::from_str(&text).map_err(|error| Error::Format {
            path,
            expected: "a run's configuration".to_owned(),
            found: error.to_string(),
        })
    }

    /// Writes `metrics.jsonl`, a line an epoch, and `curves.png`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if one of them cannot be written.
    pub fn write_metrics(&self, epochs: &[EpochMetrics]) -> Result<(), Error> {
        write_atomically(&self.path.join(METRICS), |file| {
            for epoch in epochs {
                serde_json::to_writer(&mut *file, epoch)?;
                file.write_all(b"\n")?;
            }
            Ok(())
        })?;
        if epochs.is_empty() { Ok(()) } else { curves::write(&self.curves(), epochs) }
    }

    /// Writes `checkpoint.safetensors` and `model.safetensors`, and `best.safetensors` if it is `best`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if one of them cannot be written.
    pub fn write_checkpoint(&self, checkpoint: &Checkpoint, best: bool) -> Result<(), Error> {
        // The best model is written first: after a crash in between, it is at least as good as the checkpoint says.
        if best {
            checkpoint.write_model(&self.best_model())?;
        }
        checkpoint.write(&self.checkpoint())?;
        checkpoint.write_model(&self.last_model())
    }

    /// Reads `metrics.jsonl`; a run that was stopped before its first epoch ended has none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if the content of a line is not that of a run.
    pub fn read_metrics(&self) -> Result<Vec<EpochMetrics>, Error> {
        let (epochs, damage) = self.read_whole_metrics()?;
        damage.map_or(Ok(epochs), Err)
    }

    /// The same up to the first line whose content is not that of a run, and the error for that line: of a copy that was cut off, a
    /// report shows what is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn read_whole_metrics(&self) -> Result<(Vec<EpochMetrics>, Option<Error>), Error> {
        let path = self.path.join(METRICS);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
            read => read.map_err(Error::io("read", &path))?,
        };
        let mut epochs = Vec::new();
        for (line, number) in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).zip(1..) {
            match serde_json::from_slice(line) {
                Ok(epoch) => epochs.push(epoch),
                Err(error) => {
                    let (expected, found) =
                        ("one epoch's metrics a line".to_owned(), format!("in line {number}: {error}"));
                    return Ok((epochs, Some(Error::Format { path, expected, found })));
                }
            }
        }
        Ok((epochs, None))
    }
}

/// Whether a directory has files other than those of a run that ended before its first checkpoint.
fn has_files(path: &Path) -> bool {
    let is_more = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let has_none = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        let is_empty = (name == SAMPLES || name == RECONSTRUCTIONS) && has_none(&entry.path());
        // Other programs have files of that name, too.
        let is_config = name == CONFIG && RunDirectory::open(path).read_config().is_ok();
        let is_events = name == tensorboard::FOLDER && tensorboard::has_no_others(&entry.path());
        !(is_config || name == LOCK || is_empty || is_events || is_temporary(&name))
    };
    // A directory that cannot be read may have anything.
    fs::read_dir(path).map_or(true, |entries| entries.flatten().any(is_more))
}

fn remove(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
    match remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
