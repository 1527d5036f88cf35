//! Which reader takes a path, and what came of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::part::{Found, Layout, Part, Role};
use super::{DataConfig, Dataset, Split, csv, folder, idx, npy, npz, part, unlike};
use crate::Error;
use crate::error::require;

/// What is told how many examples of a part are read, and of how many.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Data that were read, with what is known about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The data.
    pub dataset: Dataset,
    /// The names of the classes, by label, if the data have them.
    pub classes: Vec<String>,
    /// A line each: what was taken for what, what was split off, and what was left out.
    pub notes: Vec<String>,
}

/// What a source may be, for messages.
const SOURCES: &str = "a folder of pictures or of IDX files, or a .npz, .npy, CSV, TSV or IDX file";

/// The formats, of which each has a reader.
enum Format {
    Npz,
    Npy,
    Csv,
    Idx,
    IdxFolder(idx::files::Sets),
    Pictures,
}

impl Loaded {
    /// Reads data.
    ///
    /// # Errors
    ///
    /// As [`Dataset::load`].
    pub fn new(config: &DataConfig, progress: Progress<'_>) -> Result<Loaded, Error> {
        config.validate()?;
        let mut found = read("--data", &config.source, config, progress)?;
        if let Some(source) = &config.test_data {
            let has_none = found.parts.iter().all(|part| part.role != Some(Role::Test));
            require("--test-data", has_none, "no such option if --data has a test set", source)?;
            let other = read("--test-data", source, config, progress)?;
            require(
                "--test-data",
                other.classes.is_empty() || other.classes == found.classes,
                "the classes of --data",
                source,
            )?;
            found.notes.extend(other.notes.iter().cloned());
            found.parts.push(other.into_test_part()?);
        }
        let classes = std::mem::take(&mut found.classes);
        let mut notes = std::mem::take(&mut found.notes);
        let dataset = part::dataset(config, found, &mut notes)?;
        Ok(Loaded { dataset, classes, notes })
    }
}

/// Reads what an option names.
fn read(option: &'static str, source: &str, config: &DataConfig, progress: Progress<'_>) -> Result<Found, Error> {
    let path = Path::new(source);
    if source == Dataset::BUILT_IN {
        let DataConfig { key, label, .. } = config;
        require("--key", key.is_none(), "no such option for the built-in data", key.as_deref().unwrap_or(""))?;
        require("--label", label.is_none(), "no such option for the built-in data", label.as_deref().unwrap_or(""))?;
        return Dataset::mnist().map(of_dataset);
    }
    if matches!(path.try_exists(), Ok(false)) {
        return Err(Error::Config {
            option,
            expected: format!("`{}` (the only built-in name), {SOURCES}", Dataset::BUILT_IN),
            found: format!("`{source}`, which does not exist"),
        });
    }
    let format = Format::of(path)?;
    let has_keys = matches!(format, Format::Npz | Format::IdxFolder(_));
    let key = config.key.as_deref();
    require(
        "--key",
        has_keys || key.is_none(),
        "no such option unless the data are a .npz file or IDX files",
        key.unwrap_or(""),
    )?;
    let (is_csv, label) = (matches!(format, Format::Csv), config.label.as_deref());
    require(
        "--label",
        is_csv || label.is_none(),
        "no such option unless the data are a CSV file",
        label.unwrap_or(""),
    )?;
    match format {
        Format::Npz => npz::read(path, config),
        Format::Npy => npy::read(path),
        Format::Csv => csv::read(path, config),
        Format::Idx => Ok(Found { parts: vec![idx::files::part(path)?], ..Found::default() }),
        Format::IdxFolder(sets) => idx::files::read(&sets, key),
        Format::Pictures => folder::read(path, config, progress),
    }
}

impl Format {
    /// The format of a path: by the ending of a file's name, or else by its first bytes.
    fn of(path: &Path) -> Result<Format, Error> {
        if path.is_dir() {
            let sets = idx::files::find(path)?;
            return Ok(if sets.is_empty() { Format::Pictures } else { Format::IdxFolder(sets) });
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("").to_lowercase();
        match ending.as_str() {
            "npz" => return Ok(Format::Npz),
            "npy" => return Ok(Format::Npy),
            "csv" | "tsv" => return Ok(Format::Csv),
            _ => {}
        }
        let mut start = Vec::new();
        let file = File::open(path).map_err(Error::io("read", path))?;
        file.take(4).read_to_end(&mut start).map_err(Error::io("read", path))?;
        match start[..] {
            [0, 0, ..] | [0x1f, 0x8b, ..] => Ok(Format::Idx),
            [b'P', b'K', 3, 4] => Ok(Format::Npz),
            [0x93, b'N', b'U', b'M'] => Ok(Format::Npy),
            [] => Err(unlike(path, SOURCES, "an empty file")),
            _ => Err(unlike(path, SOURCES, "another file")),
        }
    }
}

/// The parts of data that are in memory.
fn of_dataset(data: Dataset) -> Found {
    let part = |role, split: Split| {
        let Split { images, labels } = split;
        let (count, layout) = (images.count(), Layout::Image(images.shape()));
        Part { role: Some(role), path: data.name.clone().into(), values: images.pixels, count, layout, labels }
    };
    let parts = vec![part(Role::Train, data.train.clone()), part(Role::Test, data.test.clone())];
    Found { parts, ..Found::default() }
}
