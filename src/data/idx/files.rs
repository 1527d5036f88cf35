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
use crate::data::{Images, idx, unlike};
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

/// Reads the files of a folder. `key` names the prefix of a set, or a part of it, if there are several.
///
/// # Errors
///
/// [`Error::Format`] if a file is malformed, or does not fit the others; [`Error::Io`] if one cannot be read;
/// [`Error::Config`] if it is open which set is meant.
pub(in crate::data) fn read(sets: &Sets, key: Option<&str>) -> Result<Found, Error> {
    let named: Vec<_> = sets.iter().filter(|(prefix, _)| key.is_none_or(|key| prefix.contains(key))).collect();
    let prefixes = || sets.keys().map(|prefix| format!("`{prefix}`")).collect::<Vec<_>>().join(", ");
    let found = key.map_or_else(|| format!("{} sets", sets.len()), str::to_owned);
    require("--key", named.len() == 1, &format!("one of the data sets {} in this folder", prefixes()), found)?;
    let mut parts = Vec::new();
    for (role, path) in named.into_iter().flat_map(|(_, files)| files) {
        parts.push(Part { role: Some(*role), ..part(path)? });
    }
    Ok(Found { parts, ..Found::default() })
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
