//! Which reader takes a path, and what came of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::part::{Found, Layout, Part, Role};
use super::{DataConfig, Dataset, Share, Split, assemble, csv, folder, idx, npy, npz, unlike};
use crate::Error;
use crate::error::{one_line, require};

/// What is told how many examples of a part are read, and of how many.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Data that were read, with what is known about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The data.
    pub dataset: Dataset,
    /// The path of each picture below its folder, if the data are pictures without parts: that of each training image, before any are
    /// split off.
    pub names: Vec<String>,
    /// Pictures that have transparent pixels, or more than 8 bits for each value: both are lost.
    pub inexact: usize,
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
    /// Reads data to train on: a test set is split off if they have none.
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
            let same_classes = other.classes.is_empty() || other.classes == found.classes;
            require("--test-data", same_classes, "the classes of --data", source)?;
            found.notes.extend(other.notes.iter().cloned());
            found.parts.push(other.into_test_part()?);
        }
        Loaded::of(config, found)
    }

    /// Reads other data to apply a model to, in the same way as those of `config`: images of the same size and range. If they have
    /// no parts, all images are in both sets.
    ///
    /// # Errors
    ///
    /// As [`Dataset::load`].
    pub fn other(source: &str, config: &DataConfig, progress: Progress<'_>) -> Result<Loaded, Error> {
        let config = DataConfig {
            source: source.to_owned(),
            test_data: None,
            test: None,
            validation: Share::default(),
            key: None,
            label: None,
            ..config.clone()
        };
        let mut found = read("--data", source, &config, progress)?;
        found.be_whole();
        Loaded::of(&config, found)
    }

    /// Reads other data, or, if there are several sources, pictures that are named one by one, in that order.
    ///
    /// # Errors
    ///
    /// As [`Dataset::load`].
    pub fn others(sources: &[String], config: &DataConfig, progress: Progress<'_>) -> Result<Loaded, Error> {
        if let [source] = sources {
            return Loaded::other(source, config, progress);
        }
        let config = DataConfig { test: None, test_data: None, validation: Share::default(), ..config.clone() };
        let mut found = folder::read_list(sources, &config, progress)?;
        found.be_whole();
        Loaded::of(&config, found)
    }

    fn of(config: &DataConfig, mut found: Found) -> Result<Loaded, Error> {
        let [classes, names] = [&mut found.classes, &mut found.names].map(std::mem::take);
        let (mut notes, inexact) = (std::mem::take(&mut found.notes), found.inexact);
        let dataset = assemble::dataset(config, found, &mut notes)?;
        let notes = notes.iter().map(one_line).collect();
        Ok(Loaded { dataset, names, inexact, classes, notes })
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
        Format::IdxFolder(sets) => idx::files::read(&sets, config),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use image::ExtendedColorType::{L8, Rgb8};

    use super::super::fixtures::{idx, load_with, npy, npz, picture};
    use super::super::{ImageShape, Share};
    use super::*;

    const COUNT: usize = 12;
    const PIXELS: usize = 4;

    fn levels(channels: usize) -> Vec<u8> {
        (0..COUNT * PIXELS * PIXELS * channels).map(|i| (i * 37 % 251) as u8).collect()
    }

    fn csv_of(levels: &[u8], width: usize) -> String {
        let row = |row: &[u8]| row.iter().map(u8::to_string).collect::<Vec<_>>().join(",") + "\n";
        levels.chunks(width).map(row).collect()
    }

    /// The same values in other orders: the first index of the array runs fastest, and channels before rows.
    fn fortran(levels: &[u8], channels: usize) -> Vec<u8> {
        let at = |image, y, x, channel| levels[((image * PIXELS + y) * PIXELS + x) * channels + channel];
        let mut ordered = Vec::new();
        for x in 0..PIXELS {
            for y in 0..PIXELS {
                for channel in 0..channels {
                    ordered.extend((0..COUNT).map(|image| at(image, y, x, channel)));
                }
            }
        }
        ordered
    }

    #[test]
    fn the_same_pictures_in_every_format_are_the_same_bytes() {
        for (channels, colour) in [(1, L8), (3, Rgb8)] {
            let levels = levels(channels);
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            for (index, image) in levels.chunks(PIXELS * PIXELS * channels).enumerate() {
                picture(&path(&format!("pictures/{index:02}.png")), [PIXELS as u32; 2], colour, image);
            }
            let array = npy("|u1", &format!("({COUNT}, {PIXELS}, {PIXELS}, {channels})"), &levels);
            fs::write(path("a.npy"), &array).unwrap();
            fs::write(path("a.npz"), npz(&[("images", array)])).unwrap();
            let shape = format!("({COUNT}, {channels}, {PIXELS}, {PIXELS})");
            let header = format!("{{'descr': '|u1', 'fortran_order': True, 'shape': {shape}, }}\n");
            let length = (header.len() as u16).to_le_bytes();
            let fortran = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &fortran(&levels, channels)].concat();
            fs::write(path("fortran.npy"), fortran).unwrap();
            let wide: Vec<u8> = levels.iter().flat_map(|level| i32::from(*level).to_le_bytes()).collect();
            fs::write(path("wide.npy"), npy("<i4", &format!("({COUNT}, {})", levels.len() / COUNT), &wide)).unwrap();
            fs::write(path("a.csv"), csv_of(&levels, levels.len() / COUNT)).unwrap();
            fs::write(path("idx"), idx(&[COUNT as u32, PIXELS as u32, PIXELS as u32], &levels)).unwrap();
            let config = DataConfig { size: Some("4".parse().unwrap()), ..DataConfig::default() };
            let load = |name: &str| load_with(&path(name), config.clone()).unwrap().dataset;
            let pictures = load("pictures");
            assert_eq!(pictures.train.images.shape(), ImageShape { channels, height: PIXELS, width: PIXELS });
            assert_eq!((pictures.train.images.count(), pictures.test.images.count()), (11, 1));
            for name in ["a.npy", "a.npz", "fortran.npy", "wide.npy", "a.csv", "idx"] {
                if channels == 1 || name != "idx" {
                    let data = load(name);
                    assert_eq!((&data.train, &data.test), (&pictures.train, &pictures.test), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_test_set_comes_from_its_own_path_or_from_the_training_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("train.npy"), npy("|u1", "(20, 4)", &(0..80).collect::<Vec<u8>>())).unwrap();
        fs::write(path("test.npy"), npy("|u1", "(3, 4)", &[9; 12])).unwrap();
        fs::write(
            path("parts.npz"),
            npz(&[("train", npy("|u1", "(2, 4)", &[7; 8])), ("test", npy("|u1", "(1, 4)", &[8; 4]))]),
        )
        .unwrap();
        let counts = |config| {
            load_with(&path("train.npy"), config)
                .map(|loaded| (loaded.dataset.train.images.count(), loaded.dataset.test.images.count()))
        };
        let test = |share| DataConfig { test: Some(share), ..DataConfig::default() };
        let test_data =
            |name: &str| DataConfig { test_data: Some(path(name).display().to_string()), ..DataConfig::default() };
        assert_eq!(counts(DataConfig::default()), Ok((18, 2)));
        assert_eq!(counts(test(Share::Count(5))), Ok((15, 5)));
        assert_eq!(counts(test(Share::Fraction(0.25))), Ok((15, 5)));
        assert_eq!(counts(test_data("test.npy")), Ok((20, 3)));
        assert_eq!(counts(test_data("parts.npz")), Ok((20, 1)));
        assert!(
            counts(test(Share::Count(20))).unwrap_err().starts_with("--test: expected fewer test images than the 20")
        );
        assert!(counts(test_data("nowhere.npy")).unwrap_err().starts_with("--test-data: expected "));
        for config in [test(Share::Count(1)), test_data("test.npy")] {
            let error = load_with(&path("parts.npz"), config).unwrap_err();
            assert!(error.contains("no such option if "), "{error}");
        }
        // The same seed gives the same choice, and another one another.
        let chosen = |seed| {
            load_with(&path("train.npy"), DataConfig { test_seed: seed, ..test(Share::Count(5)) }).unwrap().dataset.test
        };
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
    }

    #[test]
    fn other_data_are_read_whole_unless_they_have_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("one.npy"), npy("|u1", "(20, 4, 4)", &[7; 320])).unwrap();
        let parts = [("train", npy("|u1", "(2, 4, 4)", &[7; 32])), ("test", npy("|u1", "(1, 4, 4)", &[8; 16]))];
        fs::write(path("parts.npz"), npz(&parts)).unwrap();
        let size = Some("2".parse().unwrap());
        let config = DataConfig { size, key: Some("x".into()), test: Some(Share::Count(3)), ..DataConfig::default() };
        for (name, counts) in [("one.npy", (20, 20)), ("parts.npz", (2, 1))] {
            let data = Loaded::other(&path(name), &config, &|_, _| ()).unwrap().dataset;
            assert_eq!((data.train.images.count(), data.test.images.count()), counts);
            assert_eq!(data.test.images.shape(), ImageShape::grey(2, 2));
        }
    }

    #[test]
    fn files_are_known_by_their_endings_or_their_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        for (bytes, fine) in [
            (npy("|u1", "(2, 4)", &[7; 8]), true),
            (npz(&[("x", npy("|u1", "(2, 4)", &[7; 8]))]), true),
            (idx(&[2, 2, 2], &[7; 8]), true),
            (vec![], false),
            (b"hello".to_vec(), false),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(load_with(&path, DataConfig::default()).is_ok(), fine);
        }
        let message = "--data: expected `mnist` (the only built-in name), a folder of pictures or of IDX files, or a .npz, .npy, CSV, \
                       TSV or IDX file, found `cifar10`, which does not exist";
        let config = DataConfig { source: "cifar10".into(), ..DataConfig::default() };
        assert_eq!(Dataset::load(&config).unwrap_err().to_string(), message);
        let config = DataConfig { key: Some("train".into()), ..DataConfig::default() };
        assert!(Dataset::load(&config).unwrap_err().to_string().starts_with("--key: expected no such option"));
    }
}
