//! Stacks of images, checked.

use std::ops::Range;

use crate::Error;

/// The values of a stack of images.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pixels {
    /// Grey levels, 0 to 255, which stand for 0 to 1.
    Bytes(Vec<u8>),
    /// The pixels as they are.
    Floats(Vec<f32>),
}

/// A stack of images of one size and one channel, row-major: a byte per pixel, or a float.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    pub(super) pixels: Pixels,
    count: usize,
    height: usize,
    width: usize,
}

impl Images {
    /// Takes `count` images of `height` x `width` grey levels, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if a size is zero or `bytes` is not `count * height * width` long.
    pub fn new(bytes: Vec<u8>, count: usize, height: usize, width: usize) -> Result<Self, Error> {
        check_sizes(bytes.len(), "bytes", count, height, width)?;
        Ok(Images { pixels: Pixels::Bytes(bytes), count, height, width })
    }

    /// Takes `count` images of `height` x `width` floats, one after the other.
    ///
    /// # Errors
    ///
    /// As [`Images::new`], and [`Error::NotFiniteValue`] if a pixel is NaN or infinite.
    pub fn from_floats(floats: Vec<f32>, count: usize, height: usize, width: usize) -> Result<Self, Error> {
        check_sizes(floats.len(), "floats", count, height, width)?;
        if let Some(at) = floats.iter().position(|value| !value.is_finite()) {
            let place = format!("pixel {} of image {}", at % (height * width), at / (height * width));
            return Err(Error::NotFiniteValue { operation: "Images::from_floats", place, value: floats[at] });
        }
        Ok(Images { pixels: Pixels::Floats(floats), count, height, width })
    }

    /// All pixels, before any are made black and white, `(count, height, width)`, row-major: grey levels from 0
    /// to 1, floats as they are.
    pub fn pixels(&self) -> impl Iterator<Item = f32> + '_ {
        let (bytes, floats) = match &self.pixels {
            Pixels::Bytes(bytes) => (bytes.as_slice(), [].as_slice()),
            Pixels::Floats(floats) => ([].as_slice(), floats.as_slice()),
        };
        bytes.iter().map(|byte| f32::from(*byte) / 255.0).chain(floats.iter().copied())
    }

    /// The grey levels, if the pixels are bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.pixels {
            Pixels::Bytes(bytes) => Some(bytes),
            Pixels::Floats(_) => None,
        }
    }

    /// The number of images, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The height of each image in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The width of each image in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of pixels of each image: the data dimensions, D.
    pub fn dimensions(&self) -> usize {
        self.height * self.width
    }

    /// Some of the images, by position.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if there are none in the range, or it reaches past the last one.
    pub fn slice(&self, range: Range<usize>) -> Result<Images, Error> {
        if range.is_empty() || range.end > self.count {
            let expected = format!("some of the {} images", self.count);
            return Err(Error::Shape { operation: "slicing images", expected, found: format!("{range:?}") });
        }
        let positions: Vec<u32> = range.map(|position| position as u32).collect();
        self.take(&positions)
    }

    /// The images at some positions, which are there.
    pub(super) fn take(&self, positions: &[u32]) -> Result<Images, Error> {
        let (size, count) = (self.dimensions(), positions.len());
        let ranges = positions.iter().map(|position| *position as usize * size..(*position as usize + 1) * size);
        match &self.pixels {
            Pixels::Bytes(bytes) => {
                Images::new(ranges.flat_map(|range| &bytes[range]).copied().collect(), count, self.height, self.width)
            }
            Pixels::Floats(floats) => {
                let floats = ranges.flat_map(|range| &floats[range]).copied().collect();
                Images::from_floats(floats, count, self.height, self.width)
            }
        }
    }
}

fn check_sizes(found: usize, unit: &str, count: usize, height: usize, width: usize) -> Result<(), Error> {
    let shape = |expected: String, found: String| Error::Shape { operation: "Images::new", expected, found };
    if count == 0 || height == 0 || width == 0 {
        return Err(shape("sizes of at least 1".into(), format!("{count} x {height} x {width}")));
    }
    let total = count.checked_mul(height).and_then(|rows| rows.checked_mul(width));
    if total != Some(found) {
        return Err(shape(format!("{count} x {height} x {width} {unit}"), format!("{found} {unit}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_checked_and_cut_into_rows() {
        let images = Images::new((0..12).collect(), 2, 3, 2).unwrap();
        assert_eq!((images.dimensions(), images.slice(1..2).unwrap().bytes()), (6, Some(&[6, 7, 8, 9, 10, 11][..])));
        let message = |result: Result<Images, Error>| result.unwrap_err().to_string();
        let short = message(Images::new(vec![0; 11], 2, 3, 2));
        assert_eq!(short, "Images::new: expected 2 x 3 x 2 bytes, found 11 bytes");
        let empty = message(Images::new(vec![], 0, 3, 2));
        assert_eq!(empty, "Images::new: expected sizes of at least 1, found 0 x 3 x 2");
        assert!(Images::new(vec![], usize::MAX, 2, 1).is_err());
    }
}
