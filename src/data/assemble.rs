//! A data set from the parts that a reader found: the only place that decides ranges, shapes and parts.

use std::path::{Path, PathBuf};

use super::images::PixelValues;
use super::part::{Found, Layout, Part, Role};
use super::resize::{self, Resize};
use super::{DataConfig, Dataset, ImageShape, Images, Share, Split, order, range, unlike};
use crate::Error;
use crate::error::require;

/// The part of the test set if the data have none, and nothing else is asked for.
const TEST_SHARE: Share = Share::Fraction(0.1);

/// Makes a data set of what a reader found. It has a test set, which is split off if there is none.
///
/// # Errors
///
/// [`Error::Format`] or [`Error::Config`] that names what does not fit.
pub(super) fn dataset(config: &DataConfig, found: Found, notes: &mut Vec<String>) -> Result<Dataset, Error> {
    let mut parts = found.parts;
    for part in &parts {
        check_sizes(part)?;
        range::check_finite(part)?;
    }
    range::apply(config, &mut parts)?;
    let mut splits: [Option<Split>; 3] = [None, None, None];
    let mut first: Option<(ImageShape, PathBuf)> = None;
    for part in parts {
        let (role, path) = (part.role.unwrap_or(Role::Train), part.path.clone());
        let split = images(config, part, notes)?;
        let shape = split.images.shape();
        let (expected, like) = first.get_or_insert_with(|| (shape, path.clone()));
        if shape != *expected {
            let expected = format!("{} images of {expected} like those of {}", role.name(), like.display());
            return Err(unlike(&path, expected, shape.to_string()));
        }
        splits[role as usize] = Some(split);
    }
    let [train, validation, test] = splits;
    let train = train.ok_or_else(|| {
        let expected = "a training set, such as train-images-idx3-ubyte, `x_train` or train/";
        unlike(Path::new(&config.source), expected, "other parts alone")
    })?;
    let (train, test) = match test {
        Some(test) => {
            let found = config.test.map(|share| share.to_string()).unwrap_or_default();
            require("--test", config.test.is_none(), "no such option if there is a test set", found)?;
            (train, test)
        }
        None => split_off_test(config, train, notes)?,
    };
    let data = Dataset { name: config.source.clone(), train, validation, test };
    let count = config.validation.of(data.train.images.count());
    data.with_validation(count, config.validation_seed)
}

fn check_sizes(part: &Part) -> Result<(), Error> {
    if part.count == 0 || part.layout.values() == 0 {
        let found = format!("{} of {} values", part.count, part.layout.values());
        return Err(unlike(&part.path, "at least one example of at least one value", found));
    }
    // An order of examples is a list of `u32`.
    if u32::try_from(part.count).is_err() {
        return Err(unlike(&part.path, format!("at most {} examples", u32::MAX), part.count.to_string()));
    }
    match &part.labels {
        Some(labels) if labels.len() != part.count => {
            let expected = format!("as many labels as images ({})", part.count);
            Err(unlike(&part.path, expected, labels.len().to_string()))
        }
        _ => Ok(()),
    }
}

/// The images of a part, as the configuration asks for them.
fn images(config: &DataConfig, part: Part, notes: &mut Vec<String>) -> Result<Split, Error> {
    let Part { path, mut values, count, layout, labels, .. } = part;
    let mut shape = shape(config, &path, layout, notes)?;
    if config.transpose {
        values = resize::transposed(&values, shape);
        shape = ImageShape { height: shape.width, width: shape.height, ..shape };
    }
    if config.grey && shape.channels != 1 {
        require("--grey", shape.channels == 3, "images of three channels", shape)?;
        values = resize::grey(&values);
        shape = ImageShape { channels: 1, ..shape };
    }
    if let Some(size) = config.size
        && [shape.height, shape.width] != [size.height, size.width]
    {
        let resize = Resize { size, fit: config.fit, background: config.background };
        values = resize.all(&values, count, shape)?;
        shape = ImageShape { height: size.height, width: size.width, ..shape };
    }
    let images = match values {
        PixelValues::Bytes(bytes) => Images::new(bytes, count, shape)?,
        PixelValues::Floats(floats) => Images::from_floats(floats, count, shape)?,
    };
    Ok(Split { images, labels })
}

/// The shape of the images that rows are.
fn shape(config: &DataConfig, path: &Path, layout: Layout, notes: &mut Vec<String>) -> Result<ImageShape, Error> {
    let (values, square) = match layout {
        Layout::Image(shape) => return Ok(shape),
        Layout::Square(values) => (values, true),
        Layout::Vector(values) => (values, false),
    };
    let asked = config.size.and_then(|size| {
        let shape = |channels| ImageShape { channels, height: size.height, width: size.width };
        [1, 3].map(shape).into_iter().find(|shape| shape.dimensions() == values)
    });
    let side = values.isqrt();
    let is_square = square && side * side == values;
    match (asked, config.size) {
        (Some(shape), _) => Ok(shape),
        _ if is_square => Ok(ImageShape::grey(side, side)),
        (None, None) => {
            let side = (values / 3).isqrt();
            if 3 * side * side == values && side > 1 {
                let rows = format!("{}: rows of {values} values are vectors", path.display());
                notes.push(format!("{rows}; --size {side} takes them as colour images of {side} x {side}"));
            }
            Ok(ImageShape::grey(1, values))
        }
        (None, Some(size)) => Err(Error::Config {
            option: "--size",
            expected: format!(
                "a height and width whose product is {values}, or a third of it, as rows have {values} values"
            ),
            found: size.to_string(),
        }),
    }
}

/// Splits a test set off the training set, at random.
fn split_off_test(config: &DataConfig, train: Split, notes: &mut Vec<String>) -> Result<(Split, Split), Error> {
    let count = test_count(config, train.images.count(), "images", notes)?;
    let [train, test] = train.split_off(count, Some(config.test_seed))?;
    Ok((train, test))
}

/// The size of a test set that is split off examples, `what`; a note says so if nobody asked for it.
pub(super) fn test_count(
    config: &DataConfig,
    total: usize,
    what: &str,
    notes: &mut Vec<String>,
) -> Result<usize, Error> {
    let count = config.test.unwrap_or(TEST_SHARE).of(total);
    let expected = format!("fewer test {what} than the {total} {what} there are");
    require("--test", count < total, &expected, count)?;
    if config.test.is_none() {
        notes.push(format!(
            "no test set: {count} of the {total} {what}, chosen at random with seed {}, become one; --test or --test-data choose \
             others",
            config.test_seed
        ));
    }
    Ok(count)
}

impl Split {
    /// Two parts: all but `count` of the examples, and these: the last ones, or a random choice if a seed is given. Both keep
    /// the order of the examples.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if one of them is empty.
    pub(super) fn split_off(&self, count: usize, seed: Option<u64>) -> Result<[Split; 2], Error> {
        let [kept, split_off] = order::split_off(self.images.count(), count, seed);
        Ok([self.take(&kept)?, self.take(&split_off)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn examples_are_counted_in_32_bits() {
        let values = PixelValues::Bytes(Vec::new());
        let part =
            Part { role: None, path: "a".into(), values, count: 1 << 32, layout: Layout::Vector(1), labels: None };
        let error = check_sizes(&part).unwrap_err().to_string();
        assert_eq!(error, "a: expected at most 4294967295 examples, found 4294967296");
    }
}
