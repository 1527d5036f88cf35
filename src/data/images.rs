//! Stacks of images, checked.

use std::ops::Range;

use super::ImageShape;
use crate::Error;

/// The values of a stack of images.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PixelValues {
    /// Grey levels, 0 to 255, which stand for 0 to 1.
    Bytes(Vec<u8>),
    /// The pixels as they are.
    Floats(Vec<f32>),
}

/// A stack of images of one size, row-major: a byte per value, or a float.
///
/// ```
/// use elbo::data::{ImageShape, Images};
///
/// # fn main() -> Result<(), elbo::Error> {
/// let bytes = vec![0; 100 * 28 * 28];
/// let images = Images::new(bytes, 100, ImageShape::grey(28, 28))?;
/// assert_eq!((images.count(), images.shape().dimensions()), (100, 784));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    pub(super) pixels: PixelValues,
    count: usize,
    shape: ImageShape,
}

impl Images {
    /// Makes a stack of `count` images of levels from 0 to 255, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a size is zero or `bytes` is not `count * shape.dimensions()` long.
    pub fn new(bytes: Vec<u8>, count: usize, shape: ImageShape) -> Result<Self, Error> {
        check_sizes(bytes.len(), "bytes", count, shape)?;
        Ok(Images { pixels: PixelValues::Bytes(bytes), count, shape })
    }

    /// Makes a stack of `count` images of floats, one after the other.
    ///
    /// # Errors
    ///
    /// As [`Images::new`], and [`Error::NotFinite`] if a pixel is NaN or infinite.
    pub fn from_floats(floats: Vec<f32>, count: usize, shape: ImageShape) -> Result<Self, Error> {
        check_sizes(floats.len(), "floats", count, shape)?;
        if let Some(at) = floats.iter().position(|value| !value.is_finite()) {
            let (image, pixel) = (at / shape.dimensions(), at % shape.dimensions());
            let place = format!("pixel {pixel} of image {image}");
            return Err(Error::NotFinite { operation: "Images::from_floats", place, value: floats[at] });
        }
        Ok(Images { pixels: PixelValues::Floats(floats), count, shape })
    }

    /// All pixels, not yet binarised, `(count, dimensions)`, row-major: bytes as 0 to 1, floats as they are.
    pub fn pixels(&self) -> impl Iterator<Item = f32> + '_ {
        let (bytes, floats) = match &self.pixels {
            PixelValues::Bytes(bytes) => (bytes.as_slice(), [].as_slice()),
            PixelValues::Floats(floats) => ([].as_slice(), floats.as_slice()),
        };
        bytes.iter().map(|byte| f32::from(*byte) / 255.0).chain(floats.iter().copied())
    }

    /// The grey levels, if the pixels are bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.pixels {
            PixelValues::Bytes(bytes) => Some(bytes),
            PixelValues::Floats(_) => None,
        }
    }

    /// The number of images, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The size of each image. None of its sizes is zero.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The number of values of each image: the data dimensions, `D`.
    pub fn dimensions(&self) -> usize {
        self.shape.dimensions()
    }

    /// Some of the images, by position.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the range is empty or reaches past the last image.
    pub fn slice(&self, range: Range<usize>) -> Result<Images, Error> {
        if range.is_empty() || range.end > self.count {
            let expected = format!("some of the {} images", self.count);
            return Err(Error::Argument { operation: "slicing images", expected, found: format!("{range:?}") });
        }
        let positions: Vec<u32> = range.map(|position| position as u32).collect();
        self.take(&positions)
    }

    /// The images at some positions, which must exist.
    pub(super) fn take(&self, positions: &[u32]) -> Result<Images, Error> {
        let (size, count) = (self.dimensions(), positions.len());
        let ranges = positions.iter().map(|position| *position as usize * size..(*position as usize + 1) * size);
        match &self.pixels {
            PixelValues::Bytes(bytes) => {
                Images::new(ranges.flat_map(|range| &bytes[range]).copied().collect(), count, self.shape)
            }
            PixelValues::Floats(floats) => {
                let floats = ranges.flat_map(|range| &floats[range]).copied().collect();
                Images::from_floats(floats, count, self.shape)
            }
        }
    }
}

fn check_sizes(found: usize, unit: &str, count: usize, shape: ImageShape) -> Result<(), Error> {
    let unfit = |expected: String, found: String| Error::Argument { operation: "Images::new", expected, found };
    if count == 0 || shape.dimensions() == 0 {
        return Err(unfit("sizes of at least 1".into(), format!("{count} x {shape}")));
    }
    if count.checked_mul(shape.dimensions()) != Some(found) {
        return Err(unfit(format!("{count} x {shape} {unit}"), format!("{found} {unit}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_checked_and_cut_into_rows() {
        let shape = ImageShape::grey(3, 2);
        let images = Images::new((0..12).collect(), 2, shape).unwrap();
        assert_eq!((images.dimensions(), images.slice(1..2).unwrap().bytes()), (6, Some(&[6, 7, 8, 9, 10, 11][..])));
        let message = |result: Result<Images, Error>| result.unwrap_err().to_string();
        let short = message(Images::new(vec![0; 11], 2, shape));
        assert_eq!(short, "Images::new: expected 2 x 3 x 2 bytes, found 11 bytes");
        let empty = message(Images::new(vec![], 0, shape));
        assert_eq!(empty, "Images::new: expected sizes of at least 1, found 0 x 3 x 2");
        assert!(Images::new(vec![], usize::MAX, ImageShape::grey(2, 1)).is_err());
        assert!(Images::new(vec![], 1, ImageShape::grey(usize::MAX, 2)).is_err());
    }
}
