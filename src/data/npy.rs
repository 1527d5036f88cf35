//! NumPy arrays as examples: `(N, D)`, `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`.
//!
//! `D` values are a square grey image if `D` is a square, else a vector. Four sizes are channels last if the last one is 1 or 3,
//! else channels first if the second one is; then 2 and 4 count as numbers of channels too.

use std::path::Path;

use super::images::PixelValues;
use super::part::{Found, Layout, MAX_VALUES, Part};
use super::{ImageShape, unlike};
use crate::Error;
use crate::files::npy::{Array, Header, Values};

/// Reads a `.npy` file: one part.
///
/// # Errors
///
/// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is not an array of such a shape.
pub(super) fn read(path: &Path) -> Result<Found, Error> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let header = Header::parse(path, &bytes)?;
    let (described, shape) = (header.describe(), header.shape.clone());
    let part = part(path, header.array(path, bytes)?)?;
    let notes = vec![format!("{}, {}", path.display(), taken_for(&described, &shape, &part))];
    Ok(Found { parts: vec![part], notes, ..Found::default() })
}

/// The examples of an array, for a role that is still to be stated.
///
/// # Errors
///
/// [`Error::Format`] if it has another shape, or too many values.
pub(super) fn part(path: &Path, array: Array) -> Result<Part, Error> {
    let Array { values, shape } = array;
    let (count, layout, channels_first) = layout(&shape).ok_or_else(|| {
        let expected = "an array of shape (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W), with 1 to 4 channels";
        unlike(path, expected, format!("{shape:?}"))
    })?;
    let values = match values {
        Values::Bytes(bytes) => PixelValues::Bytes(bytes),
        Values::Floats(floats) => PixelValues::Floats(floats),
        Values::Text(_) => return Err(unlike(path, "an array of numbers", "text")),
    };
    let values = match (values, layout) {
        (PixelValues::Bytes(bytes), Layout::Image(shape)) if channels_first => {
            PixelValues::Bytes(channels_last(&bytes, shape))
        }
        (PixelValues::Floats(floats), Layout::Image(shape)) if channels_first => {
            PixelValues::Floats(channels_last(&floats, shape))
        }
        (values, _) => values,
    };
    Ok(Part { role: None, path: path.into(), values, count, layout, labels: None })
}

/// Checks that an array is small enough to be read, before it is.
///
/// # Errors
///
/// [`Error::Format`] if not.
pub(super) fn check_size(path: &Path, header: &Header) -> Result<(), Error> {
    let values = header.shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size as u64));
    match values {
        Some(values) if values <= MAX_VALUES => Ok(()),
        _ => Err(unlike(path, format!("an array of at most {MAX_VALUES} values"), format!("{:?}", header.shape))),
    }
}

/// Says what an array was taken for. `header` describes its type and shape.
pub(super) fn taken_for(header: &str, shape: &[usize], part: &Part) -> String {
    let images = match part.layout {
        Layout::Image(image) => format!("images of {image}"),
        Layout::Square(values) | Layout::Vector(values) => format!("rows of {values} values"),
    };
    let order = if layout(shape).is_some_and(|(.., channels_first)| channels_first) { ", channels first" } else { "" };
    format!("{header}{order}: {} {images}", part.count)
}

/// The number of examples, what each one is, and whether channels come before rows.
fn layout(shape: &[usize]) -> Option<(usize, Layout, bool)> {
    let image = |channels, height, width| Layout::Image(ImageShape { channels, height, width });
    match *shape {
        [count, values] => Some((count, Layout::Square(values), false)),
        [count, height, width] => Some((count, image(1, height, width), false)),
        [count, a, b, c] => {
            let first = || (count, image(a, b, c), true);
            let last = || (count, image(c, a, b), false);
            match (a, c) {
                (_, 1 | 3) => Some(last()),
                (1 | 3, _) => Some(first()),
                (_, 2 | 4) => Some(last()),
                (2 | 4, _) => Some(first()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Values `(channels, height, width)` of each image as `(height, width, channels)`.
fn channels_last<T: Copy>(values: &[T], shape: ImageShape) -> Vec<T> {
    if shape.channels == 1 {
        return values.to_vec();
    }
    let pixels = shape.height * shape.width;
    let mut ordered = Vec::with_capacity(values.len());
    for image in values.chunks_exact(shape.dimensions().max(1)) {
        for pixel in 0..pixels {
            ordered.extend((0..shape.channels).map(|channel| image[channel * pixels + pixel]));
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{load, npy};
    use super::*;

    #[test]
    fn a_file_is_read() {
        let floats = npy("<f2", "(2, 1, 2, 2)", &[0, 0x38].repeat(8));
        let data = load("data.npy", &floats).unwrap();
        assert_eq!(data.train.images.shape(), ImageShape::grey(2, 2));
        assert!(data.train.images.pixels().all(|x| x == 0.5));
        let bytes = npy("<i8", "(2, 3)", &[7, 0, 0, 0, 0, 0, 0, 0].repeat(6));
        let data = load("data.npy", &bytes).unwrap();
        assert_eq!((data.train.images.bytes(), data.test.images.bytes()), (Some(&[7; 3][..]), Some(&[7; 3][..])));
        for end in 0..bytes.len() {
            load("data.npy", &bytes[..end]).unwrap_err();
        }
    }

    #[test]
    fn shapes_are_recognised() {
        let image = |channels, height, width| Layout::Image(ImageShape { channels, height, width });
        for (shape, layout_and_order) in [
            (&[5, 784][..], (Layout::Square(784), false)),
            (&[5, 28, 14], (image(1, 28, 14), false)),
            (&[5, 28, 14, 1], (image(1, 28, 14), false)),
            (&[5, 1, 28, 14], (image(1, 28, 14), true)),
            (&[5, 28, 14, 3], (image(3, 28, 14), false)),
            (&[5, 3, 28, 14], (image(3, 28, 14), true)),
            (&[5, 3, 28, 3], (image(3, 3, 28), false)),
            (&[5, 1, 3, 2], (image(1, 3, 2), true)),
            (&[5, 28, 14, 4], (image(4, 28, 14), false)),
            (&[5, 2, 28, 14], (image(2, 28, 14), true)),
        ] {
            assert_eq!(layout(shape), Some((5, layout_and_order.0, layout_and_order.1)), "{shape:?}");
        }
        for shape in [&[][..], &[5], &[5, 28, 28, 5], &[5, 1, 1, 1, 1]] {
            assert_eq!(layout(shape), None, "{shape:?}");
        }
    }

    #[test]
    fn channels_first_become_last() {
        let array = Array { values: Values::Bytes((0..12).collect()), shape: vec![1, 3, 2, 2] };
        let part = part(Path::new("a.npy"), array).unwrap();
        assert_eq!(part.values, PixelValues::Bytes(vec![0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]));
    }
}
