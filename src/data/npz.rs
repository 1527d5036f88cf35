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
    /// The header, unless it cannot be used.
    header: Option<Header>,
}

impl Entry {
    /// Whether it can be a stack of images, by its shape.
    fn is_stack(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.shape.len() >= 2 && !header.is_text())
    }

    /// Whether it is of the kind and for the part, by its name.
    fn is(&self, role: Option<Role>, kind: Kind) -> bool {
        self.meaning == Some(Meaning { role, kind })
    }

    /// The same for what stands beside images, which may be left out.
    fn is_beside(&self, role: Option<Role>, kind: Kind) -> bool {
        self.is(role, kind) && self.header.is_some()
    }

    fn describe(&self) -> String {
        match &self.header {
            Some(header) => format!("`{}`, {}", self.name, header.describe()),
            None => format!("`{}`", self.name),
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
        let (described, shape) = (array.0, array.1.shape.clone());
        let mut part = Part { role, ..npy::part(&file, array.1)? };
        let mut note = format!("`{name}`, {}", npy::taken_for(&described, &shape, &part));
        if let Some(role) = role {
            note += &format!(", the {} set", role.name());
        }
        let labels = archive.arrays.iter().position(|entry| entry.is_beside(label_role, Kind::Labels));
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
    if let Some(index) = archive.arrays.iter().position(|entry| entry.is_beside(None, Kind::Classes))
        && let Array { values: Values::Text(classes), .. } = archive.array(index)?.1
    {
        used.push(index);
        found.classes = classes;
    }
    let unused = archive.arrays.iter().enumerate().filter(|(index, _)| !used.contains(index));
    let unused: Vec<String> = unused.map(|(_, entry)| entry.describe()).collect();
    if !unused.is_empty() {
        found.notes.push(format!("not used: {}", unused.join("; ")));
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
            let header = header(path, &mut zip, &name).ok();
            arrays.push(Entry { meaning: meaning(&name), name, header });
        }
        Ok(Archive { path, zip, arrays })
    }

    /// The arrays to read, with what they are for.
    fn choose(&self, key: Option<&str>) -> Result<Vec<(Option<Role>, usize)>, Error> {
        let all = || self.arrays.iter().map(Entry::describe).collect::<Vec<_>>().join("; ");
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

    /// Reads an array: its description, and the array. The archive's checksum is verified.
    fn array(&mut self, index: usize) -> Result<(String, Array), Error> {
        let path = self.path_of(index);
        let name = self.arrays[index].name.clone();
        let header = header(self.path, &mut self.zip, &name)?;
        npy::check_size(&path, &header)?;
        // One byte more shows a longer file, and reaching the end verifies the checksum.
        let length = header.file_bytes().unwrap_or(u64::MAX).saturating_add(1);
        let bytes = unpack(self.path, &mut self.zip, &name, length)?;
        let described = header.describe();
        Ok((described, header.array(&path, bytes)?))
    }
}

/// Reads the header of an array alone.
fn header(path: &Path, zip: &mut ZipArchive<File>, name: &str) -> Result<Header, Error> {
    Header::parse(&path.join(format!("{name}.npy")), &unpack(path, zip, name, MAX_HEADER as u64)?)
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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{load, load_file, npy, npz};
    use super::super::{Dataset, ImageShape, Images};
    use super::*;

    fn bytes(count: usize, value: u8) -> Vec<u8> {
        npy("|u1", &format!("({count}, 4)"), &vec![value; 4 * count])
    }

    #[test]
    fn bytes_of_0_and_1_are_binary() {
        let data = npz(&[("train", bytes(3, 1)), ("valid", bytes(2, 0)), ("test", bytes(1, 1))]);
        let data = load("data.npz", &data).unwrap();
        assert_eq!(data.train.images.shape(), ImageShape::grey(2, 2));
        let validation = data.validation.unwrap().images;
        assert_eq!((data.train.images.count(), validation.count(), data.test.images.count()), (3, 2, 1));
        let pixels = |images: &Images| images.pixels().collect::<Vec<_>>();
        assert_eq!((pixels(&data.train.images), pixels(&validation)), (vec![1.0; 12], vec![0.0; 8]));

        let grey = load("data.npz", &npz(&[("train", bytes(3, 1)), ("test", bytes(1, 51))])).unwrap();
        let first = |images: &Images| images.pixels().next();
        assert_eq!([&grey.train, &grey.test].map(|split| first(&split.images)), [Some(1.0 / 255.0), Some(0.2)]);
        assert_eq!(grey.validation, None);
    }

    #[test]
    fn parts_and_labels_are_found_by_their_names() {
        let labels = |values: &[u8]| npy("|u1", &format!("({}, 1)", values.len()), values);
        for [train, train_labels, test, test_labels] in [
            ["train", "train_labels", "test", "test_labels"],
            ["x_train", "y_train", "x_test", "y_test"],
            ["train_images", "train_labels", "test_images", "test_labels"],
        ] {
            let arrays = [
                (train, bytes(2, 9)),
                (train_labels, labels(&[1, 0])),
                (test, bytes(1, 9)),
                (test_labels, labels(&[1])),
                ("classes", npy("<U2", "(2,)", b"a\0\0\0\0\0\0\0b\0\0\0c\0\0\0")),
                ("extra", bytes(7, 9)),
            ];
            let loaded = load_file("data.npz", &npz(&arrays), DataConfig::default()).unwrap();
            assert_eq!(loaded.dataset.train.labels, Some(vec![1, 0]));
            assert_eq!(loaded.dataset.test.labels, Some(vec![1]));
            assert_eq!(loaded.classes, ["a", "bc"]);
            let note =
                format!("`{train}`, uint8 (2, 4): 2 rows of 4 values, the training set, labels `{train_labels}`");
            assert_eq!(loaded.notes[0], note);
            assert_eq!(loaded.notes.last().unwrap(), "not used: `extra`, uint8 (7, 4)");
        }
    }

    #[test]
    fn one_array_alone_is_split() {
        let config = |key: Option<&str>| DataConfig { key: key.map(Into::into), ..DataConfig::default() };
        for (names, key) in [
            (&["data", "other"][..], None),
            (&["arr_0", "arr_1"], None),
            (&["images"], None),
            (&["faces"], None),
            (&["faces", "masks"], Some("faces")),
            (&["train", "faces"], Some("faces")),
        ] {
            let arrays: Vec<_> = names.iter().map(|name| (*name, bytes(20, 9))).chain([("y", bytes(5, 1))]).collect();
            let loaded = load_file("data.npz", &npz(&arrays), config(key)).unwrap();
            let counts = |data: &Dataset| (data.train.images.count(), data.test.images.count());
            assert_eq!(counts(&loaded.dataset), (18, 2), "{names:?}");
            assert!(loaded.notes.last().unwrap().starts_with("no test set: 2 of the 20 images"), "{:?}", loaded.notes);
            assert_eq!(loaded.dataset.train.labels, None);
        }
        let error = load_file("data.npz", &npz(&[("faces", bytes(2, 9))]), config(Some("face"))).unwrap_err();
        assert_eq!(error, "--key: expected one of the arrays `faces`, uint8 (2, 4), found face");
    }

    #[test]
    fn labels_that_cannot_be_read_are_left_out() {
        for labels in [npy("|O", "(20,)", &[]), npy("<i2", "(20,)", &[1; 40]), npy("|u1", "(3,)", &[1; 3])] {
            let loaded =
                load_file("a.npz", &npz(&[("x", bytes(20, 9)), ("y", labels)]), DataConfig::default()).unwrap();
            assert_eq!(loaded.dataset.train.labels, None);
            assert!(loaded.notes.iter().any(|note| note.contains("`y`")), "{:?}", loaded.notes);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let good = || npy("|u1", "(2, 4)", &[1; 8]);
        let nan = npy("<f4", "(2, 2)", &[0.0, 0.0, f32::NAN, 0.0].map(f32::to_le_bytes).concat());
        let mut cut = npz(&[("train", good()), ("test", good())]);
        cut.truncate(cut.len() - 30);
        for (bytes, found) in [
            (b"no archive".to_vec(), "data.npz: expected a NumPy archive (.npz) with an array"),
            (Vec::new(), "data.npz: expected a NumPy archive"),
            (npz(&[]), "found no arrays"),
            (cut, "data.npz: expected a NumPy archive"),
            (npz(&[("a", good()), ("b", good())]), "found the arrays `a`, uint8 (2, 4); `b`, uint8 (2, 4)"),
            (npz(&[("x_train", good()), ("train", good())]), "expected one array of images for each part (--key"),
            (npz(&[("test", good())]), "found the arrays `test`"),
            (npz(&[("train", good()), ("test", npy("|u1", "(2, 9)", &[1; 18]))]), "expected test images of 2 x 2 like"),
            (npz(&[("train", good()), ("valid", npy("|u1", "(1, 1)", &[1])), ("test", good())]), "found 1 x 1"),
            (npz(&[("train", npy("|u1", "(2,)", &[1; 2])), ("test", good())]), "found [2]"),
            (npz(&[("train", npy("|u1", "(0, 4)", &[])), ("test", good())]), "found 0 of 4 values"),
            (npz(&[("train", npy("|O", "(1, 1)", &[0; 8])), ("test", good())]), "train.npy: expected"),
            (npz(&[("train", npy("|u1", "(2, 4)", &[1; 7])), ("test", good())]), "found 7 bytes"),
            (npz(&[("train", npy("|u1", "(2, 4)", &[1; 9])), ("test", good())]), "found 9 bytes"),
            (npz(&[("train", nan), ("test", good())]), "found NaN in row 1, column 0, counted from 0"),
        ] {
            let error = load("data.npz", &bytes).unwrap_err();
            assert!(error.contains(found), "{error}: not {found}");
        }
    }

    #[test]
    fn every_damage_is_an_error() {
        let whole = npz(&[("train", npy("|u1", "(2, 4)", &[77; 8])), ("test", npy("|u1", "(1, 4)", &[66; 4]))]);
        for end in 0..whole.len() {
            load("data.npz", &whole[..end]).unwrap_err();
        }
        let mut refused = 0;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            // Dates and names may change, and a part may then be missing; values may not.
            match load("data.npz", &damaged) {
                Ok(data) => assert!(data.train.images.bytes().unwrap().iter().all(|byte| *byte == 77), "byte {at}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > whole.len() / 3, "{refused} of {}", whole.len());
    }

    #[test]
    fn a_wrong_checksum_is_named() {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file("train.npy", options).unwrap();
        std::io::Write::write_all(&mut writer, &npy("|u1", "(2, 4)", &[77; 8])).unwrap();
        let mut bytes = writer.finish().unwrap().into_inner();
        let at = bytes.windows(8).position(|bytes| bytes == [77; 8]).unwrap();
        bytes[at] = 78;
        let error = load("data.npz", &bytes).unwrap_err();
        assert!(
            error.contains("`train` whole and with the archive's checksum") && error.contains("hecksum"),
            "{error}"
        );
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        // A thousand times its size in zeros, under a header that announces more than can be, or less than comes.
        let zeros = vec![0; 1 << 20];
        for shape in ["(1048576, 1048576)", "(1, 4)"] {
            let error = load("data.npz", &npz(&[("train", npy("|u1", shape, &zeros))])).unwrap_err();
            assert!(error.contains("at most 4294967296 values") || error.contains("found 5 bytes"), "{error}");
        }
    }
}
