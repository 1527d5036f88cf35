//! The size of an image.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;

/// The most values of an image: a layer has one column for each, and no more than `nn::WIDEST`.
const MAX_DIMENSIONS: usize = 1 << 20;

/// The size of an image, whose values are row-major, `(height, width, channels)`: the channels of a pixel are beside each other.
///
/// Any sizes can be stored here. Those of [`Images`](super::Images) are not zero, and those of a model pass
/// [`ImageShape::validate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Values of a pixel: 1 for grey, 3 for red, green and blue.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl ImageShape {
    /// The size of a grey image.
    pub const fn grey(height: usize, width: usize) -> ImageShape {
        ImageShape { channels: 1, height, width }
    }

    /// The number of values of an image: the data dimensions, `D`. A product that overflows is `usize::MAX`.
    pub const fn dimensions(self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }

    /// The sizes as messages and files state them: `[height, width]`, with the channels after them unless there is
    /// one.
    pub fn sizes(self) -> Vec<usize> {
        let channels = (self.channels != 1).then_some(self.channels);
        [self.height, self.width].into_iter().chain(channels).collect()
    }

    /// Checks that a model can describe such images.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] unless an image has from 1 to 1048576 values.
    pub fn validate(self) -> Result<(), Error> {
        let fits = (1..=MAX_DIMENSIONS).contains(&self.dimensions());
        require("image size", fits, "from 1 to 1048576 values", self)
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.sizes().iter().map(usize::to_string).collect();
        f.write_str(&sizes.join(" x "))
    }
}

fn one() -> usize {
    1
}

fn is_one(channels: &usize) -> bool {
    *channels == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOUR: ImageShape = ImageShape { channels: 3, ..ImageShape::grey(28, 14) };

    #[test]
    fn channels_are_stated_unless_there_is_one() {
        for (shape, text, json) in [
            (ImageShape::grey(28, 14), "28 x 14", r#"{"height":28,"width":14}"#),
            (COLOUR, "28 x 14 x 3", r#"{"channels":3,"height":28,"width":14}"#),
        ] {
            assert_eq!(shape.to_string(), text);
            assert_eq!(serde_json::to_string(&shape).unwrap(), json);
            assert_eq!(serde_json::from_str::<ImageShape>(json).unwrap(), shape);
        }
    }

    #[test]
    fn dimensions_are_limited_and_do_not_overflow() {
        assert_eq!((ImageShape::grey(28, 14).dimensions(), COLOUR.dimensions()), (392, 1176));
        for fine in [ImageShape::grey(1, 1), ImageShape::grey(1 << 10, 1 << 10), COLOUR] {
            fine.validate().unwrap();
        }
        for [channels, height, width] in
            [[1, 0, 3], [1, 3, 0], [0, 3, 3], [2, 1 << 10, 1 << 10], [1, 1 << 63, 2], [1 << 62, 4, 1], [1, 1025, 1024]]
        {
            assert!(ImageShape { channels, height, width }.validate().is_err());
        }
        let message = ImageShape::grey(1025, 1024).validate().unwrap_err().to_string();
        assert_eq!(message, "image size: expected from 1 to 1048576 values, found 1025 x 1024");
    }
}
