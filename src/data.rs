//! Data sets: images and labels, from files or from the binary itself, as checked bytes.
//!
//! A loaded [`Dataset`] is valid: every image is complete, every image has a label if there are labels, and training
//! and test images have the same size. Invalid data are refused before anything else is opened or made. The error is
//! one line that names the file, what was expected and what was found.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use brotli_decompressor::Decompressor;

use crate::Error;
use crate::error::require;

pub mod batch;
mod binarize;
pub mod idx;
mod images;
pub mod npz;
pub mod order;
mod shape;

pub use binarize::Binarize;
pub use images::Images;
use images::PixelValues;
pub use shape::ImageShape;

/// Images and their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The images.
    pub images: Images,
    /// The class of each image, in the same order, if known.
    pub labels: Option<Vec<u8>>,
}

impl Split {
    /// Some of the examples, by position.
    ///
    /// # Errors
    ///
    /// As [`Images::slice`].
    pub fn slice(&self, range: Range<usize>) -> Result<Split, Error> {
        let images = self.images.slice(range.clone())?;
        Ok(Split { images, labels: self.labels.as_ref().map(|labels| labels[range].to_vec()) })
    }

    /// The examples at some positions.
    fn take(&self, positions: &[u32]) -> Result<Split, Error> {
        let label = |labels: &Vec<u8>| positions.iter().map(|position| labels[*position as usize]).collect();
        Ok(Split { images: self.images.take(positions)?, labels: self.labels.as_ref().map(label) })
    }
}

/// A data set: the training, validation and test images.
///
/// Images of your own are bytes, or floats ([`Images::from_floats`]), image by image and row by row:
///
/// ```
/// use elbo::Dataset;
/// use elbo::data::{ImageShape, Images, Split};
///
/// # fn main() -> Result<(), elbo::Error> {
/// // A white dot that moves from left to right: 8 images of 2 x 8 pixels.
/// let bytes: Vec<u8> = (0..8 * 16).map(|i| if i % 16 == i / 16 { 255 } else { 0 }).collect();
/// let images = Images::new(bytes, 8, ImageShape::grey(2, 8))?;
/// let test = Split { images: images.slice(6..8)?, labels: None };
/// let data = Dataset { name: "dot".into(), train: Split { images, labels: None }, validation: None, test };
///
/// // The last two training images become the validation set. It decides which epoch's model is the best.
/// let data = data.with_validation(2, None)?;
/// assert_eq!(data.train.images.count(), 6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The name that loads it again: `mnist`, or the path as given.
    pub name: String,
    /// The training set.
    pub train: Split,
    /// The validation set, if there is one. It decides which epoch's model is the best. Its images have the same size.
    pub validation: Option<Split>,
    /// The test set. Its images have the same size.
    pub test: Split,
}

impl Dataset {
    /// The name of the data set that is compiled into the binary.
    pub const BUILT_IN: &str = "mnist";

    /// Loads the data set that `--data` names: `mnist`, which is built in, or else a directory of IDX files or
    /// a .npz file.
    ///
    /// A directory that happens to be called `mnist` is `./mnist`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there is no such file or directory; the errors of [`Dataset::from_directory`].
    pub fn load(source: &str) -> Result<Dataset, Error> {
        let path = Path::new(source);
        if source == Self::BUILT_IN {
            Dataset::mnist()
        } else if matches!(path.try_exists(), Ok(false)) {
            Err(Error::Config {
                option: "--data",
                expected: format!(
                    "`{}` (the only built-in name), a directory that holds four IDX files, or a .npz file",
                    Self::BUILT_IN
                ),
                found: format!("`{source}`, which does not exist"),
            })
        } else {
            Dataset::from_path(path)
        }
    }

    fn from_path(path: &Path) -> Result<Dataset, Error> {
        let is_npz = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
        if is_npz && path.is_file() { npz::dataset(path) } else { Dataset::from_directory(path) }
    }

    /// Moves `count` of the training images to a validation set: the last ones, or a random choice if a seed is given.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if that leaves no training images, or the data already have a validation set.
    pub fn with_validation(mut self, count: usize, seed: Option<u64>) -> Result<Dataset, Error> {
        if count == 0 {
            return Ok(self);
        }
        let total = self.train.images.count();
        let own = self.validation.as_ref().map(|split| split.images.count());
        let found = || format!("{count}, and a validation set of {} images in the data", own.unwrap_or(0));
        require("--validation", own.is_none(), "no such option if the data have a validation set", found())?;
        require("--validation", count < total, &format!("fewer than the {total} training images"), count)?;
        let mut order = match seed {
            None => order::sequential(total),
            Some(seed) => order::shuffled(total, seed, 0),
        };
        let mut validation = order.split_off(total - count);
        // Each part keeps the order of the files.
        order.sort_unstable();
        validation.sort_unstable();
        self.validation = Some(self.train.take(&validation)?);
        self.train = self.train.take(&order)?;
        Ok(self)
    }

    /// Unpacks the MNIST that is compiled into the binary: 60,000 training and 10,000 test images of 28 x 28.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Format`] if the binary was built from a damaged file. Brotli has no checksum, so
    /// damage may also go unnoticed here; the test suite compares the official checksums.
    pub fn mnist() -> Result<Dataset, Error> {
        let train = split(
            built_in("train-images-idx3-ubyte.br", include_bytes!("../assets/mnist/train-images-idx3-ubyte.br")),
            built_in("train-labels-idx1-ubyte.br", include_bytes!("../assets/mnist/train-labels-idx1-ubyte.br")),
        )?;
        let test = split(
            built_in("t10k-images-idx3-ubyte.br", include_bytes!("../assets/mnist/t10k-images-idx3-ubyte.br")),
            built_in("t10k-labels-idx1-ubyte.br", include_bytes!("../assets/mnist/t10k-labels-idx1-ubyte.br")),
        )?;
        Ok(Dataset { name: Self::BUILT_IN.into(), train, validation: None, test })
    }

    /// Reads the four IDX files of a directory, under MNIST's names, such as MNIST itself or Fashion-MNIST.
    ///
    /// The names are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    /// `t10k-labels-idx1-ubyte`; `train-images.idx3-ubyte` and its like are accepted too, and each may end in `.gz`. If
    /// a file exists both plain and compressed, the plain one is read.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if a file is missing, is malformed, or does not fit the others; [`Error::Io`] if the directory
    /// or a file cannot be read.
    pub fn from_directory(path: &Path) -> Result<Dataset, Error> {
        if !fs::metadata(path).map_err(Error::io("read", path))?.is_dir() {
            return Err(unlike(path, "a directory that holds four IDX files, or a .npz file", "another file"));
        }
        let train = split(open(path, "train-images", "idx3-ubyte")?, open(path, "train-labels", "idx1-ubyte")?)?;
        let test = split(open(path, "t10k-images", "idx3-ubyte")?, open(path, "t10k-labels", "idx1-ubyte")?)?;
        let shapes = [train.images.shape(), test.images.shape()];
        if shapes[0] != shapes[1] {
            let expected = format!("test images of {} like the training images", shapes[0]);
            return Err(unlike(path, expected, shapes[1].to_string()));
        }
        Ok(Dataset { name: path.display().to_string(), train, validation: None, test })
    }
}

/// A file of the built-in data, which is unpacked as it is read.
///
/// Brotli and not gzip, because the packed crate has to stay below the 10 MiB that the registry accepts.
fn built_in(file: &str, packed: &[u8]) -> (PathBuf, impl Read) {
    const BUFFER: usize = 1 << 16;
    (Path::new("(built in)").join(file), Decompressor::new(packed, BUFFER))
}

/// Opens a file under the first of its possible names that exists.
fn open(directory: &Path, stem: &str, kind: &str) -> Result<(PathBuf, File), Error> {
    let spellings = [format!("{stem}-{kind}"), format!("{stem}.{kind}")];
    let names = ["", ".gz"].iter().flat_map(|suffix| spellings.iter().map(move |name| format!("{name}{suffix}")));
    // Some archives unpack to a directory of the file's own name, beside the file.
    match names.map(|name| directory.join(name)).find(|path| path.is_file()) {
        Some(path) => File::open(&path).map_err(Error::io("open", &path)).map(|file| (path, file)),
        None => {
            let expected = format!("`{}` or `{}`, plain or .gz", spellings[0], spellings[1]);
            Err(unlike(directory, expected, "no such file in this directory"))
        }
    }
}

/// Reads images and the labels that belong to them.
fn split(images: (PathBuf, impl Read), labels: (PathBuf, impl Read)) -> Result<Split, Error> {
    let (images, found) = (idx::images(&images.0, images.1)?, idx::labels(&labels.0, labels.1)?);
    if found.len() != images.count() {
        let expected = format!("as many labels as images ({})", images.count());
        return Err(unlike(&labels.0, expected, found.len().to_string()));
    }
    Ok(Split { images, labels: Some(found) })
}

fn unlike(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Error {
    Error::Format { path: path.into(), expected: expected.into(), found: found.into() }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    const FILES: [&str; 4] =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    /// An IDX file of zeros.
    fn zeros(sizes: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.resize(bytes.len() + sizes.iter().product::<u32>() as usize, 0);
        bytes
    }

    /// A directory with two training images of 2 x 2 and one test image.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (file, sizes) in FILES.iter().zip([&[2, 2, 2][..], &[2], &[1, 2, 2], &[1]]) {
            fs::write(directory.path().join(file), zeros(sizes)).unwrap();
        }
        directory
    }

    fn refusal(path: &Path) -> String {
        Dataset::load(path.to_str().unwrap()).expect_err("the directory must be refused").to_string()
    }

    #[test]
    fn built_in_mnist_is_the_official_one() {
        let mnist = Dataset::load("mnist").unwrap();
        assert_eq!((mnist.train.images.count(), mnist.test.images.count()), (60_000, 10_000));
        assert_eq!(mnist.train.images.shape(), ImageShape::grey(28, 28));
        // With the header in front again, the checksums are those of the unpacked files.
        let sum = |header: &[u8], bytes: &[u8]| {
            let sum = Sha256::new().chain_update(header).chain_update(bytes).finalize();
            sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(
            [
                sum(b"\0\0\x08\x03\0\0\xea\x60\0\0\0\x1c\0\0\0\x1c", mnist.train.images.bytes().unwrap()),
                sum(b"\0\0\x08\x01\0\0\xea\x60", &mnist.train.labels.unwrap()),
                sum(b"\0\0\x08\x03\0\0\x27\x10\0\0\0\x1c\0\0\0\x1c", mnist.test.images.bytes().unwrap()),
                sum(b"\0\0\x08\x01\0\0\x27\x10", &mnist.test.labels.unwrap()),
            ],
            [
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ]
        );
    }

    #[test]
    fn damaged_built_in_data_are_an_error_that_names_the_file() {
        let packed = include_bytes!("../assets/mnist/t10k-labels-idx1-ubyte.br");
        let unpack = |packed: &[u8]| {
            let (path, stream) = built_in("labels.br", packed);
            idx::labels(&path, stream).map_err(|error| error.to_string())
        };
        assert_eq!(unpack(packed).unwrap().len(), 10_000);
        for damaged in [&packed[..0], &packed[..1], &packed[..packed.len() - 1], &packed[1..], b"not brotli"] {
            let error = unpack(damaged).unwrap_err();
            assert!(error.contains("labels.br") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_directory_is_read() {
        let directory = directory();
        let data = Dataset::load(directory.path().to_str().unwrap()).unwrap();
        assert_eq!((data.train.images.count(), data.test.labels.unwrap().len()), (2, 1));
        assert_eq!(Path::new(&data.name), directory.path());
    }

    #[test]
    fn other_spellings_are_read_and_plain_comes_first() {
        let directory = directory();
        let path = |file: &str| directory.path().join(file);
        fs::write(path("train-images-idx3-ubyte.gz"), b"not read").unwrap();
        assert!(Dataset::from_directory(directory.path()).is_ok());
        for file in FILES {
            let (stem, kind) = file.split_at(file.len() - "-idx3-ubyte".len());
            fs::rename(path(file), path(&format!("{stem}.{}", &kind[1..]))).unwrap();
            fs::create_dir(path(file)).unwrap();
        }
        assert!(Dataset::from_directory(directory.path()).is_ok());
        fs::rename(path("t10k-labels.idx1-ubyte"), path("t10k-labels-idx1-ubyte.gz")).unwrap();
        assert!(Dataset::from_directory(directory.path()).is_ok());
    }

    #[test]
    fn a_name_that_is_nothing() {
        let message = "--data: expected `mnist` (the only built-in name), a directory that holds four IDX files, or a \
                       .npz file, found `cifar10`, which does not exist";
        assert_eq!(refusal(Path::new("cifar10")), message);
        let error = Dataset::from_directory(Path::new("cifar10")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read cifar10: "), "{error}");
    }

    #[test]
    fn a_file_instead_of_a_directory() {
        let file = directory().path().join(FILES[0]);
        assert!(refusal(&file).ends_with("which does not exist"));
        let directory = directory();
        let message = refusal(&directory.path().join(FILES[0]));
        assert!(
            message.ends_with(": expected a directory that holds four IDX files, or a .npz file, found another file"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_file() {
        for file in FILES {
            let directory = directory();
            fs::remove_file(directory.path().join(file)).unwrap();
            let names = format!("`{file}` or `{}`, plain or .gz", file.replace("-idx", ".idx"));
            let message =
                format!("{}: expected {names}, found no such file in this directory", directory.path().display());
            assert_eq!(refusal(directory.path()), message);
        }
    }

    #[test]
    fn labels_that_do_not_match_the_images() {
        let directory = directory();
        let labels = directory.path().join("t10k-labels-idx1-ubyte");
        fs::write(&labels, zeros(&[3])).unwrap();
        let message = format!("{}: expected as many labels as images (1), found 3", labels.display());
        assert_eq!(refusal(directory.path()), message);
    }

    #[test]
    fn test_images_of_another_size() {
        let directory = directory();
        fs::write(directory.path().join("t10k-images-idx3-ubyte"), zeros(&[1, 1, 4])).unwrap();
        let message = refusal(directory.path());
        assert!(message.ends_with("expected test images of 2 x 2 like the training images, found 1 x 4"), "{message}");
    }
}
