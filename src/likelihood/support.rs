//! The data that a likelihood can describe.

use super::LikelihoodConfig;
use crate::Error;
use crate::data::{Binarize, Images};

/// The number of levels of a byte.
pub(crate) const BYTE_LEVELS: usize = 256;

/// How far a float may be from the level that it stands for.
const LEVEL_TOLERANCE: f32 = 1e-6;

/// The values that pixels may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// All finite ones.
    Line,
    /// From 0 to 1.
    Interval,
    /// The given number of levels from 0 to 1, evenly spaced.
    Levels(usize),
}

impl Support {
    fn holds(self, x: f32) -> bool {
        match self {
            Support::Line => true,
            Support::Interval => (0.0..=1.0).contains(&x),
            Support::Levels(levels) => {
                let above_zero = (levels - 1) as f32;
                let level = (x * above_zero).round();
                (0.0..=above_zero).contains(&level) && (x - level / above_zero).abs() <= LEVEL_TOLERANCE
            }
        }
    }

    /// Whether each grey level of a byte is among them.
    fn holds_bytes(self) -> bool {
        !matches!(self, Support::Levels(levels) if levels != BYTE_LEVELS)
    }

    /// Says which pixels these are, and what to do about others.
    pub fn expected(self) -> String {
        match self {
            Support::Line => "finite pixels".to_owned(),
            Support::Interval => "pixels from 0 to 1 (or --binarize threshold)".to_owned(),
            Support::Levels(levels) => format!(
                "levels k/{}, the bytes of grey images (or --binarize threshold, or one of the gaussian likelihoods)",
                levels - 1
            ),
        }
    }
}

impl LikelihoodConfig {
    /// Checks that the likelihood can describe images, as the model sees them; `part` names the images, such as
    /// `training`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the first pixel that it cannot describe, and what to do.
    pub fn check(&self, images: &Images, binarize: Binarize, part: &str) -> Result<(), Error> {
        let density = self.density();
        let (option, support, expected) = match binarize {
            // Whatever the data are, the model sees 0 and 1.
            Binarize::Threshold => return Ok(()),
            Binarize::Static | Binarize::Dynamic => (
                "--binarize",
                Support::Interval,
                "pixels from 0 to 1, as probabilities of the draws (or --binarize threshold)".to_owned(),
            ),
            Binarize::None => ("--likelihood", density.support(), density.expected()),
        };
        if images.bytes().is_some() && support.holds_bytes() {
            return Ok(());
        }
        let Some((at, x)) = images.pixels().enumerate().find(|(_, x)| !support.holds(*x)) else {
            return Ok(());
        };
        let (image, pixel) = (at / images.dimensions(), at % images.dimensions() / images.shape().channels);
        let found = format!("{x} in pixel {pixel} of image {image} of the {part} images");
        Err(Error::Config { option, expected, found })
    }
}
