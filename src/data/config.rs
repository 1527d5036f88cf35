//! How data are read: one struct is the flags, their defaults, their help and the saved JSON.

use std::fmt;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{Dataset, TextOptions};
use crate::Error;
use crate::error::require;

/// What `--data` may be.
const DATA: &str = "mnist, which is built in; a folder of pictures, with subfolders as labels and train/, valid/, test/ as parts; a .npz or .npy \
file; a CSV or TSV file of numbers; an IDX file, or a folder of them under the names of MNIST or EMNIST; a text file, .txt or .txt.gz, \
a sentence a line, or a folder of train.txt, valid.txt and test.txt";

/// Where the data come from, and how they become images of one size.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Data")]
pub struct DataConfig {
    /// The data: `mnist`, or a path. See [`Dataset::load`].
    #[arg(id = "data", long = "data", value_name = "MNIST|PATH", default_value = Dataset::BUILT_IN, help = DATA)]
    #[serde(rename = "data")]
    pub source: String,
    /// The test set, in a file or folder of its own
    #[arg(long, value_name = "PATH", conflicts_with = "test")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_data: Option<String>,
    /// Size of the test set, a number or a fraction, chosen at random from the training set [default: a tenth if the data have
    /// no test set]
    #[arg(long, value_name = "N|FRACTION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Share>,
    /// With a test set chosen at random: the seed of the choice
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub test_seed: u64,
    /// Size of the validation set, a number or a fraction, taken from the end of the training set; the best model on it is kept as
    /// best.safetensors
    #[arg(long, value_name = "N|FRACTION", default_value_t)]
    #[serde(default)]
    pub validation: Share,
    /// With --validation: choose the images at random with this seed, instead of taking the last ones
    #[arg(long, value_name = "SEED")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_seed: Option<u64>,
    /// Resize the images to N x N, or to height x width; rows of numbers of that size are taken as images, channels last
    #[arg(long, value_name = "N|HxW")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// With --size: how images of another shape fit
    #[arg(long, value_enum, default_value_t)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub fit: Fit,
    /// The colour behind transparent pictures, and of the bars of --fit pad: white, black or RRGGBB
    #[arg(long, value_name = "COLOUR", default_value_t)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub background: Colour,
    /// Make colour images grey
    #[arg(long)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub grey: bool,
    /// Exchange rows and columns of each image, as EMNIST's files need it
    #[arg(long)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub transpose: bool,
    /// Leave out pictures that cannot be read, and count them
    #[arg(long)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub skip_bad: bool,
    /// The array of a .npz file to read, if its names do not tell; or, of several data sets in a folder of IDX files, which one
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The column of a CSV file that has the labels, by its name or its number, counted from 1
    #[arg(long, value_name = "COLUMN")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Divide the values by X, as 255 for pixels from 0 to 255 that are no bytes
    #[arg(long, value_name = "X", conflicts_with = "standardise", allow_negative_numbers = true)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// Let the model see values of mean 0 and variance 1, for each channel, or for each column if the data are vectors. The
    /// model's output has the data's own scale again
    #[arg(long)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub standardise: bool,
    /// How text becomes tokens.
    #[command(flatten)]
    #[serde(flatten)]
    pub text: TextOptions,
}

impl Default for DataConfig {
    fn default() -> DataConfig {
        DataConfig {
            source: Dataset::BUILT_IN.to_owned(),
            test_data: None,
            test: None,
            test_seed: 0,
            validation: Share::default(),
            validation_seed: None,
            size: None,
            fit: Fit::default(),
            background: Colour::default(),
            grey: false,
            transpose: false,
            skip_bad: false,
            key: None,
            label: None,
            scale: None,
            standardise: false,
            text: TextOptions::default(),
        }
    }
}

impl DataConfig {
    /// Checks the values that need no data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let scale = self.scale.unwrap_or(1.0);
        require("--scale", scale.is_normal() && scale > 0.0, "a finite number above 0", scale)?;
        self.text.validate()?;
        let is_none = |share: Share| share == Share::default();
        require("--test", !self.test.is_some_and(is_none), "a number from 1, or a fraction, as 0.1", 0)?;
        let chosen = !is_none(self.validation) || self.validation_seed.is_none();
        require("--validation-seed", chosen, "--validation beside it, the number of images to choose", "none")
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// How an image of another shape fits the size that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Cut to the shape around the centre.
    #[default]
    Crop,
    /// Whole, with bars of the background's colour.
    Pad,
    /// Whole, stretched to the shape.
    Stretch,
}

/// Height and width: `64`, or `64x48`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

/// The largest side of [`Size`]; a model has fewer pixels.
const LARGEST_SIDE: usize = 1 << 20;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let (height, width) = text.split_once(['x', 'X']).unwrap_or((text, text));
        let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=LARGEST_SIDE).contains(side));
        match (side(height), side(width)) {
            (Some(height), Some(width)) => Ok(Size { height, width }),
            _ => Err(format!("expected a side, as 64, or height x width, as 64x48, found `{text}`")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// An opaque colour: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl Default for Colour {
    fn default() -> Colour {
        Colour([255; 3])
    }
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Colour, String> {
        let digits = match text {
            "white" => "ffffff",
            "black" => "000000",
            _ => text.strip_prefix('#').unwrap_or(text),
        };
        let is_colour = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u32::from_str_radix(digits, 16) {
            Ok(number) if is_colour => Ok(Colour([(number >> 16) as u8, (number >> 8) as u8, number as u8])),
            _ => Err(format!("expected white, black, or RRGGBB, as ff8000, found `{text}`")),
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [255, 255, 255] => f.write_str("white"),
            [0, 0, 0] => f.write_str("black"),
            [red, green, blue] => write!(f, "{red:02x}{green:02x}{blue:02x}"),
        }
    }
}

/// A part of the examples: a number of them, or a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Share {
    /// The given number.
    Count(usize),
    /// The given fraction, between 0 and 1.
    Fraction(f64),
}

impl Default for Share {
    /// None.
    fn default() -> Share {
        Share::Count(0)
    }
}

impl Share {
    /// The number of examples, of `total`: at least one if it is a fraction.
    pub fn of(self, total: usize) -> usize {
        match self {
            Share::Count(count) => count,
            Share::Fraction(fraction) => ((total as f64 * fraction).round() as usize).max(1),
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let count = text.parse().ok().map(Share::Count);
        let is_fraction = |fraction: &f64| *fraction > 0.0 && *fraction < 1.0;
        let fraction = || text.parse().ok().filter(is_fraction).map(Share::Fraction);
        count
            .or_else(fraction)
            .ok_or_else(|| format!("expected a number, or a fraction between 0 and 1, as 0.1, found `{text}`"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Count(count) => count.fmt(f),
            Share::Fraction(fraction) => fraction.fmt(f),
        }
    }
}

/// Saved as it is written on the command line.
macro_rules! saved_as_text {
    ($($type:ty),*) => {$(
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )*};
}

saved_as_text!(Size, Colour);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_text_and_json() {
        for (text, size) in [("64", Size { height: 64, width: 64 }), ("64x48", Size { height: 64, width: 48 })] {
            assert_eq!(text.parse(), Ok(size));
            assert_eq!(serde_json::from_str::<Size>(&serde_json::to_string(&size).unwrap()).unwrap(), size);
        }
        for (text, colour, written) in
            [("white", [255; 3], "white"), ("#000000", [0; 3], "black"), ("ff8000", [255, 128, 0], "ff8000")]
        {
            assert_eq!(text.parse(), Ok(Colour(colour)));
            assert_eq!(Colour(colour).to_string(), written);
        }
        for (text, share, of_ten) in
            [("3", Share::Count(3), 3), ("0", Share::default(), 0), ("0.25", Share::Fraction(0.25), 3)]
        {
            assert_eq!(serde_json::from_str::<Share>(text).unwrap(), share);
            assert_eq!(serde_json::to_string(&share).unwrap(), text);
            assert_eq!(text.parse(), Ok(share));
            assert_eq!((share.of(10), share.to_string()), (of_ten, text.to_owned()));
        }
        assert_eq!(Share::Fraction(0.1).of(2), 1);
        for (bad, message) in [
            ("0".parse::<Size>().unwrap_err(), "`0`"),
            ("64x".parse::<Size>().unwrap_err(), "`64x`"),
            ("1x2x3".parse::<Size>().unwrap_err(), "`1x2x3`"),
            ("9999999999".parse::<Size>().unwrap_err(), "`9999999999`"),
            ("red".parse::<Colour>().unwrap_err(), "`red`"),
            ("+fffff".parse::<Colour>().unwrap_err(), "`+fffff`"),
            ("-1".parse::<Share>().unwrap_err(), "`-1`"),
            ("1.5".parse::<Share>().unwrap_err(), "`1.5`"),
        ] {
            assert!(bad.starts_with("expected ") && bad.contains(message), "{bad}");
        }
    }

    #[test]
    fn only_what_was_chosen_is_saved() {
        let json = serde_json::to_string(&DataConfig::default()).unwrap();
        assert_eq!(json, r#"{"data":"mnist","validation":0}"#);
        assert_eq!(serde_json::from_str::<DataConfig>(r#"{"data":"mnist"}"#).unwrap(), DataConfig::default());
        let chosen = DataConfig {
            size: Some(Size { height: 64, width: 48 }),
            fit: Fit::Pad,
            background: Colour([1, 2, 3]),
            test: Some(Share::Fraction(0.1)),
            scale: Some(255.0),
            ..DataConfig::default()
        };
        let json = serde_json::to_string(&chosen).unwrap();
        assert_eq!(serde_json::from_str::<DataConfig>(&json).unwrap(), chosen);
    }
}
