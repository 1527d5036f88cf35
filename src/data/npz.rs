//! NumPy archives, `.npz`: which arrays are images, and which are labels, by their names.

mod names;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use self::names::{Kind, Meaning, meaning};
use super::part::{Found, Part, Role};
use super::{DataConfig, npy, unlike};
use crate::Error;
use crate::error::require;
use crate::files::npy::{Array, Header, MAX_HEADER, Values};

/// The expected content of a file.
const EXPECTED: &str = "a NumPy archive (.npz) with an array `train`, `x_train`, `train_images`, `data`, `images`, `x` or `arr_0`, or the \
                        only one of at least two dimensions (--key names another)";

/// An archive, and the arrays in it.
struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<File>,
    arrays: Vec<Entry>,
}

/// An array in the archive, of which only the header was read.
struct Entry {
    name: String,
    meaning: Option<Meaning>,
    /// The header, or why it cannot be used.
    header: Result<Header, Error>,
}

impl Entry {
    /// Whether it can be a stack of images, by its shape.
    fn is_stack(&self) -> bool {
        self.header.as_ref().is_ok_and(|header| header.shape.len() >= 2 && !header.is_text())
    }

    fn is(&self, role: Option<Role>, kind: Kind) -> bool {
        self.meaning == Some(Meaning { role, kind })
    }

    fn describe(&self) -> String {
        match &self.header {
            Ok(header) => format!("`{}` {} {:?}", self.name, header.dtype, header.shape),
            Err(_) => format!("`{}`", self.name),
        }
    }
}

/// Reads the images and labels of an archive.
///
/// # Errors
///
/// [`Error::Format`] if the file is not such an archive, is damaged, or its names leave open what to read; [`Error::Io`] if it
/// cannot be read; [`Error::Config`] if it has no array `--key`.
pub(super) fn read(path: &Path, config: &DataConfig) -> Result<Found, Error> {
    let mut archive = Archive::open(path)?;
    let chosen = archive.choose(config.key.as_deref())?;
    let mut found = Found::default();
    let mut used = Vec::new();
    for (role, index) in chosen {
        used.push(index);
        let file = archive.path_of(index);
        let entry = &archive.arrays[index];
        let (name, label_role) = (entry.name.clone(), entry.meaning.and_then(|meaning| meaning.role));
        let array = archive.array(index)?;
        let (dtype, shape) = (array.0, array.1.shape.clone());
        let mut part = Part { role, ..npy::part(&file, array.1)? };
        let mut note = format!("`{name}`: {}", npy::taken_for(&dtype, &shape, &part));
        if let Some(role) = role {
            note += &format!(" for {}", role.name());
        }
        let labels = archive.arrays.iter().position(|entry| entry.is(label_role, Kind::Labels));
        if let Some(index) = labels {
            used.push(index);
            let name = archive.arrays[index].name.clone();
            part.labels = labels_of(archive.array(index)?.1, part.count);
            let fit = if part.labels.is_some() {
                "labels"
            } else {
                "no labels: they are not a number from 0 to 255 for each image,"
            };
            note += &format!(", {fit} `{name}`");
        }
        found.notes.push(note);
        found.parts.push(part);
    }
    if let Some(index) = archive.arrays.iter().position(|entry| entry.is(None, Kind::Classes))
        && let Array { values: Values::Text(classes), .. } = archive.array(index)?.1
    {
        used.push(index);
        found.classes = classes;
    }
    let unused = archive.arrays.iter().enumerate().filter(|(index, _)| !used.contains(index));
    let unused: Vec<String> = unused.map(|(_, entry)| entry.describe()).collect();
    if !unused.is_empty() {
        found.notes.push(format!("not used: {}", unused.join(", ")));
    }
    Ok(found)
}

/// Labels, if they are one number from 0 to 255 for each example.
fn labels_of(array: Array, count: usize) -> Option<Vec<u8>> {
    let one_each = matches!(array.shape[..], [n] | [n, 1] if n == count);
    let whole = |value: &f32| (value.fract() == 0.0 && (0.0..=255.0).contains(value)).then_some(*value as u8);
    match array.values {
        _ if !one_each => None,
        Values::Bytes(labels) => Some(labels),
        Values::Floats(labels) => labels.iter().map(whole).collect(),
        Values::Text(_) => None,
    }
}

impl Archive<'_> {
    fn open(path: &Path) -> Result<Archive<'_>, Error> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let mut zip = ZipArchive::new(file).map_err(|error| match error {
            ZipError::Io(error) => Error::io("read", path)(error),
            _ => unlike(path, EXPECTED, "no zip archive, or one that is cut short"),
        })?;
        let mut names = Vec::new();
        for name in zip.file_names() {
            let name = name.map_err(|error| unlike(path, "an archive whose names can be read", error.to_string()))?;
            names.extend(name.strip_suffix(".npy").map(str::to_owned));
        }
        names.sort_unstable();
        let mut arrays = Vec::new();
        for name in names {
            let bytes = unpack(path, &mut zip, &name, MAX_HEADER as u64)?;
            let header = Header::parse(&path.join(format!("{name}.npy")), &bytes);
            arrays.push(Entry { meaning: meaning(&name), name, header });
        }
        Ok(Archive { path, zip, arrays })
    }

    /// The arrays to read, with what they are for.
    fn choose(&self, key: Option<&str>) -> Result<Vec<(Option<Role>, usize)>, Error> {
        let all = || self.arrays.iter().map(Entry::describe).collect::<Vec<_>>().join(", ");
        if let Some(key) = key {
            let index = self.arrays.iter().position(|entry| entry.name == key);
            require("--key", index.is_some(), &format!("one of the arrays {}", all()), key)?;
            return Ok(index.map(|index| (None, index)).into_iter().collect());
        }
        let mut chosen = Vec::new();
        for role in [Some(Role::Train), Some(Role::Validation), Some(Role::Test), None] {
            let train_is_known = chosen.first().is_some_and(|(role, _)| *role == Some(Role::Train));
            let of_role = |entry: &Entry| entry.is(role, Kind::Images) && (role.is_some() || entry.is_stack());
            let indices = self.arrays.iter().enumerate().filter(|(_, entry)| of_role(entry)).map(|(index, _)| index);
            match indices.collect::<Vec<_>>()[..] {
                [] => {}
                // Beside a training part, an array that names no part is something else.
                _ if role.is_none() && train_is_known => {}
                [index] if role.is_none() && !chosen.is_empty() => chosen.push((Some(Role::Train), index)),
                [index] => chosen.push((role, index)),
                [..] => return Err(unlike(self.path, "one array of images for each part (--key names one)", all())),
            }
        }
        if chosen.iter().any(|(role, _)| matches!(role, Some(Role::Train) | None)) {
            return Ok(chosen);
        }
        let mut stacks =
            self.arrays.iter().enumerate().filter(|(_, entry)| entry.meaning.is_none() && entry.is_stack());
        match (stacks.next(), stacks.next()) {
            (Some((index, _)), None) if chosen.is_empty() => Ok(vec![(None, index)]),
            _ if self.arrays.is_empty() => Err(unlike(self.path, EXPECTED, "no arrays")),
            _ => Err(unlike(self.path, EXPECTED, format!("the arrays {}", all()))),
        }
    }

    /// The name that an array has in messages.
    fn path_of(&self, index: usize) -> PathBuf {
        self.path.join(format!("{}.npy", self.arrays[index].name))
    }

    /// Reads an array: its type, and the array. The archive's checksum is verified.
    fn array(&mut self, index: usize) -> Result<(String, Array), Error> {
        let path = self.path_of(index);
        let name = self.arrays[index].name.clone();
        // A header is no longer valid once its array was read, and no array is read twice.
        let used = Err(unlike(&path, "an array that is read once", "a second time"));
        let header = std::mem::replace(&mut self.arrays[index].header, used)?;
        npy::check_size(&path, &header)?;
        // One byte more shows a longer file, and reaching the end verifies the checksum.
        let length = header.file_bytes().unwrap_or(u64::MAX).saturating_add(1);
        let bytes = unpack(self.path, &mut self.zip, &name, length)?;
        let dtype = header.dtype.clone();
        Ok((dtype, header.array(&path, bytes)?))
    }
}

/// Unpacks an array's file up to `length` bytes. The archive states the size, but memory grows with the bytes that are read.
fn unpack(path: &Path, zip: &mut ZipArchive<File>, name: &str, length: u64) -> Result<Vec<u8>, Error> {
    let entry = zip.by_name(&format!("{name}.npy"));
    let entry =
        entry.map_err(|error| unlike(path, format!("the array `{name}`, plain or deflated"), error.to_string()))?;
    let mut bytes = Vec::new();
    let read = entry.take(length).read_to_end(&mut bytes);
    read.map_err(|error| unlike(path, format!("`{name}` whole and with the archive's checksum"), error.to_string()))?;
    Ok(bytes)
}
