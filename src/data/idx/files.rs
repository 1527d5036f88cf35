//! Folders of IDX files, and single ones: MNIST's names, EMNIST's, and others like them.
//!
//! A name is `[PREFIX-]PART-images-idx3-ubyte`, where the part is `train`, `t10k`, `test` or `valid`, and the labels are beside
//! it as `...-labels-idx1-ubyte`, or missing. The last dash may be a dot, and each file may end in `.gz`. If a file exists both
//! plain and compressed, the plain one is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::data::part::{Found, Layout, Part, Role};
use crate::data::{DataConfig, Images, idx, unlike};
use crate::error::require;

const IMAGES: [&str; 2] = ["images-idx3-ubyte", "images.idx3-ubyte"];
const LABELS: [&str; 2] = ["labels-idx1-ubyte", "labels.idx1-ubyte"];

/// The files of images in a folder, by prefix and part.
pub(in crate::data) type Sets = BTreeMap<String, BTreeMap<Role, PathBuf>>;

/// Finds the files of images in a folder. There are none in a folder of something else.
///
/// # Errors
///
/// [`Error::Io`] if the folder cannot be listed.
pub(in crate::data) fn find(folder: &Path) -> Result<Sets, Error> {
    let mut sets = Sets::new();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        // Some archives unpack to a directory of the file's own name, beside the file.
        if entry.path().is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    // A plain file comes before the same name with .gz.
    for name in names {
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let Some(stem) = IMAGES.iter().find_map(|ending| plain.strip_suffix(ending)) else { continue };
        let stem = stem.trim_end_matches('-');
        let (prefix, part) = stem.rsplit_once('-').unwrap_or(("", stem));
        if let Some(role) = Role::of_word(part) {
            sets.entry(prefix.to_owned()).or_default().entry(role).or_insert_with(|| folder.join(&name));
        }
    }
    Ok(sets)
}

/// Reads the files of a folder. `config.key` names the prefix of a set, or a part of it, if there are several.
///
/// # Errors
///
/// [`Error::Format`] if a file is malformed, or does not fit the others; [`Error::Io`] if one cannot be read;
/// [`Error::Config`] if it is open which set is meant.
pub(in crate::data) fn read(sets: &Sets, config: &DataConfig) -> Result<Found, Error> {
    let key = config.key.as_deref();
    let named: Vec<_> = sets.iter().filter(|(prefix, _)| key.is_none_or(|key| prefix.contains(key))).collect();
    let prefixes = || sets.keys().map(|prefix| format!("`{prefix}`")).collect::<Vec<_>>().join(", ");
    let found = key.map_or_else(|| format!("{} sets", sets.len()), str::to_owned);
    require("--key", named.len() == 1, &format!("one of the data sets {} in this folder", prefixes()), found)?;
    let mut found = Found::default();
    for (prefix, files) in named {
        for (role, path) in files {
            found.parts.push(Part { role: Some(*role), ..part(path)? });
        }
        if prefix.contains("emnist") && !config.transpose {
            found.notes.push("EMNIST's files have rows and columns exchanged: --transpose puts them right".to_owned());
        }
    }
    Ok(found)
}

/// Reads a file of images, with the labels beside it if there are any.
///
/// # Errors
///
/// As [`read`].
pub(in crate::data) fn part(path: &Path) -> Result<Part, Error> {
    let open = |path: &Path| File::open(path).map_err(Error::io("open", path));
    let images = idx::images(path, open(path)?)?;
    let labels = match labels_beside(path) {
        None => None,
        Some(file) => {
            let labels = idx::labels(&file, open(&file)?)?;
            if labels.len() != images.count() {
                let expected = format!("as many labels as images ({})", images.count());
                return Err(unlike(&file, expected, labels.len().to_string()));
            }
            Some(labels)
        }
    };
    let (count, shape) = (images.count(), images.shape());
    let Images { pixels, .. } = images;
    Ok(Part { role: None, path: path.into(), values: pixels, count, layout: Layout::Image(shape), labels })
}

/// The labels that belong to a file of images: the same name but for that.
fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let stem = IMAGES.iter().find_map(|ending| plain.strip_suffix(ending))?;
    let names =
        ["", ".gz"].iter().flat_map(|suffix| LABELS.iter().map(move |ending| format!("{stem}{ending}{suffix}")));
    names.map(|name| path.with_file_name(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use crate::data::fixtures::{idx, load_with};

    /// A folder with two training images of 2 x 2 and one test image, under the names of the four files.
    fn folder(names: [&str; 4]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let files: [(&[u32], &[u8]); 4] =
            [(&[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]), (&[2], &[0, 1]), (&[1, 2, 2], &[9; 4]), (&[1], &[1])];
        for (name, (sizes, bytes)) in names.iter().zip(files) {
            fs::write(folder.path().join(name), idx(sizes, bytes)).unwrap();
        }
        folder
    }

    const MNIST: [&str; 4] =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    fn load(folder: &Path) -> Result<Dataset, String> {
        load_with(folder, DataConfig::default()).map(|loaded| loaded.dataset)
    }

    #[test]
    fn folders_are_read_under_several_names() {
        for names in [
            MNIST,
            MNIST.map(|name| if name.contains("images") { name } else { "labels-elsewhere" }),
            ["train-images.idx3-ubyte", "train-labels.idx1-ubyte", "test-images-idx3-ubyte", "test-labels.idx1-ubyte"],
            [
                "emnist-letters-train-images-idx3-ubyte",
                "emnist-letters-train-labels-idx1-ubyte.gz",
                "emnist-letters-test-images-idx3-ubyte.gz",
                "emnist-letters-test-labels-idx1-ubyte",
            ],
        ] {
            let folder = folder(names);
            let data = load(folder.path()).unwrap();
            assert_eq!((data.train.images.count(), data.test.images.bytes()), (2, Some(&[9; 4][..])), "{names:?}");
            let labelled = names[1] != "labels-elsewhere";
            assert_eq!((data.train.labels.is_some(), data.test.labels.is_some()), (labelled, labelled));
            assert_eq!(Path::new(&data.name), folder.path());
        }
    }

    #[test]
    fn a_plain_file_comes_first_and_folders_are_no_files() {
        let folder = folder(MNIST);
        fs::write(folder.path().join("train-images-idx3-ubyte.gz"), b"not read").unwrap();
        fs::create_dir(folder.path().join("train-images.idx3-ubyte")).unwrap();
        load(folder.path()).unwrap();
    }

    #[test]
    fn without_test_images_some_are_split_off() {
        let folder = folder(MNIST);
        fs::remove_file(folder.path().join(MNIST[2])).unwrap();
        let data = load(folder.path()).unwrap();
        assert_eq!((data.train.images.count(), data.test.images.count()), (1, 1));
        let single = load(&folder.path().join(MNIST[0])).unwrap();
        assert_eq!(single.train.images, data.train.images);
        fs::remove_file(folder.path().join(MNIST[0])).unwrap();
        fs::write(folder.path().join(MNIST[2]), idx(&[1, 2, 2], &[9; 4])).unwrap();
        assert!(load(folder.path()).unwrap_err().contains("expected a training set, such as train-images-idx3-ubyte"));
    }

    #[test]
    fn images_are_transposed_on_demand() {
        let folder = folder(MNIST);
        let config = DataConfig { transpose: true, ..DataConfig::default() };
        let data = load_with(folder.path(), config).unwrap().dataset;
        assert_eq!(data.train.images.bytes(), Some(&[1, 3, 2, 4, 5, 7, 6, 8][..]));
    }

    #[test]
    fn of_several_sets_one_is_named() {
        let folder = folder(MNIST.map(|name| &*format!("emnist-letters-{name}").leak()));
        let images = idx(&[3, 1, 1], &[7; 3]);
        fs::write(folder.path().join("emnist-digits-train-images-idx3-ubyte"), images).unwrap();
        let message = "--key: expected one of the data sets `emnist-digits`, `emnist-letters` in this folder, found ";
        assert_eq!(load(folder.path()).unwrap_err(), format!("{message}2 sets"));
        let named = |key: &str| load_with(folder.path(), DataConfig { key: Some(key.into()), ..DataConfig::default() });
        assert_eq!(named("letters").unwrap().dataset.train.images.count(), 2);
        assert_eq!(named("balanced").unwrap_err(), format!("{message}balanced"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (name, file, found) in [
            (MNIST[3], idx(&[3], &[0; 3]), "t10k-labels-idx1-ubyte: expected as many labels as images (1), found 3"),
            (MNIST[2], idx(&[1, 1, 4], &[0; 4]), "expected test images of 2 x 2 like those of "),
            (MNIST[0], vec![], "train-images-idx3-ubyte: expected IDX images (3 dimensions), found an empty file"),
        ] {
            let folder = folder(MNIST);
            fs::write(folder.path().join(name), file).unwrap();
            let error = load(folder.path()).unwrap_err();
            assert!(error.contains(found), "{error}: not {found}");
        }
    }
}
