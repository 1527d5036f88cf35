//! What the readers of all formats return: parts, from which `assemble` makes a data set.

use std::path::PathBuf;

use super::ImageShape;
use super::images::PixelValues;
use crate::Error;

/// The most bytes, or floats, of a part: the reach of a `u32` index, such as a shader's.
pub(super) const MAX_VALUES: u64 = 1 << 32;

/// What a part is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Train,
    Validation,
    Test,
}

impl Role {
    /// The name, as a sentence has it: `training`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Train => "training",
            Role::Validation => "validation",
            Role::Test => "test",
        }
    }

    /// The part that a word names, such as `train`, `val` or `t10k`.
    pub fn of_word(word: &str) -> Option<Role> {
        match word.to_lowercase().as_str() {
            "train" | "training" => Some(Role::Train),
            "valid" | "val" | "validation" => Some(Role::Validation),
            "test" | "testing" | "t10k" => Some(Role::Test),
            _ => None,
        }
    }
}

/// What a row of values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// An image, channels last.
    Image(ImageShape),
    /// A square grey image if the number of values is a square, else a vector.
    Square(usize),
    /// A vector.
    Vector(usize),
}

impl Layout {
    /// Values of a row.
    pub fn values(self) -> usize {
        match self {
            Layout::Image(shape) => shape.dimensions(),
            Layout::Square(values) | Layout::Vector(values) => values,
        }
    }
}

/// Some examples as a file has them. There are `count` rows of `layout`.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// What it is for; `None` if the data do not say.
    pub role: Option<Role>,
    /// The file or array, for messages.
    pub path: PathBuf,
    pub values: PixelValues,
    pub count: usize,
    pub layout: Layout,
    pub labels: Option<Vec<u8>>,
}

/// What a reader found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub parts: Vec<Part>,
    /// The path of each picture below its folder, if the data are pictures without parts.
    pub names: Vec<String>,
    /// Pictures that have transparent pixels, or more than 8 bits for each value: both are lost.
    pub inexact: usize,
    /// The names of the classes, by label, if the data have them.
    pub classes: Vec<String>,
    /// What was taken for what, and what was left out.
    pub notes: Vec<String>,
}

impl Found {
    /// The test set of data that were named as such: the test part if there is one, or the only part.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are several other parts.
    pub fn into_test_part(self) -> Result<Part, Error> {
        let several = self.parts.len() > 1;
        let mut parts = self.parts.into_iter();
        match parts.find(|part| !several || part.role == Some(Role::Test)) {
            Some(part) => Ok(Part { role: Some(Role::Test), ..part }),
            None => Err(Error::Config {
                option: "--test-data",
                expected: "data with a test part, or of one part".into(),
                found: "several parts".into(),
            }),
        }
    }
}

impl Found {
    /// Makes images without parts both the training and the test set.
    pub fn be_whole(&mut self) {
        if let [part @ Part { role: None, .. }] = &self.parts[..] {
            let [train, test] = [Role::Train, Role::Test].map(|role| Part { role: Some(role), ..part.clone() });
            self.parts = vec![train, test];
        }
    }
}
