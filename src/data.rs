//! Data sets: images and labels, from files or from the binary itself, as checked bytes.
//!
//! A loaded [`Dataset`] is valid: every image is complete, every image has a label if there are labels, and training
//! and test images have the same size. Invalid data are refused before anything else is opened or made. The error is
//! one line that names the file, what was expected and what was found.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use brotli_decompressor::Decompressor;

use crate::Error;
use crate::error::require;

mod assemble;
pub mod batch;
mod binarize;
mod config;
mod csv;
mod examples;
mod fingerprint;
#[cfg(test)]
mod fixtures;
mod folder;
mod idx;
mod images;
mod load;
mod npy;
mod npz;
pub mod order;
pub mod parallel;
mod part;
mod picture;
mod range;
mod resize;
mod shape;
mod standardise;
mod text;

pub use batch::beginning;
pub use binarize::Binarize;
pub use config::{Colour, DataConfig, Fit, Share, Size};
pub use examples::{DataRef, DataShape, Examples};
pub use fingerprint::Fingerprint;
pub(crate) use fingerprint::hex;
pub use images::Images;
use images::PixelValues;
pub use load::{Loaded, Progress};
pub use shape::ImageShape;
pub use standardise::Standardisation;
pub use text::{Corpus, LoadedText, Sentences, TextOptions, TextShape, Tokens, Vocabulary};

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

    /// Loads the data that a configuration names: `mnist`, which is built in, or else a path.
    ///
    /// - A folder of pictures, or of IDX files under MNIST's or EMNIST's names.
    /// - A `.npz` or `.npy` file, arrays of `(N, D)`, `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`.
    /// - A CSV or TSV file of numbers, a row for each example.
    /// - An IDX file.
    ///
    /// A directory that happens to be called `mnist` is `./mnist`. Without a test set, a part of the training set becomes one.
    /// [`Loaded`] tells what was taken for what.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there is no such path, or an option does not fit the data; [`Error::Format`] if a file is not as
    /// expected; [`Error::Io`] if it cannot be read.
    pub fn load(config: &DataConfig) -> Result<Dataset, Error> {
        Ok(Loaded::new(config, &|_, _| ())?.dataset)
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
        let [train, validation] = self.train.split_off(count, seed)?;
        (self.train, self.validation) = (train, Some(validation));
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
}

/// A file of the built-in data, which is unpacked as it is read.
///
/// Brotli and not gzip, because the packed crate has to stay below the 10 MiB that the registry accepts.
fn built_in(file: &str, packed: &[u8]) -> (PathBuf, impl Read) {
    const BUFFER: usize = 1 << 16;
    (Path::new("(built in)").join(file), Decompressor::new(packed, BUFFER))
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

    #[test]
    fn built_in_mnist_is_the_official_one() {
        let mnist = Dataset::load(&DataConfig::default()).unwrap();
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
}
