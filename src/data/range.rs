//! Ranges: which numbers stand for 0 to 1.

use super::images::PixelValues;
use super::part::{Part, Role};
use super::{DataConfig, unlike};
use crate::Error;

/// One part has values up to at most 1, another up to at least this: one of them was divided by 255 and the other was not.
const OTHER_RANGE: f32 = 100.0;

/// Checks that all values are numbers.
///
/// # Errors
///
/// [`Error::Format`] with the place of the first that is NaN or infinite.
pub(super) fn check_finite(part: &Part) -> Result<(), Error> {
    let PixelValues::Floats(floats) = &part.values else { return Ok(()) };
    match floats.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let width = floats.len() / part.count;
            let found = format!("{} in row {}, column {}, counted from 0", floats[at], at / width, at % width);
            Err(unlike(&part.path, "finite values", found))
        }
    }
}

/// The smallest and the largest value, as the file has them.
fn extremes(values: &PixelValues) -> [f32; 2] {
    match values {
        PixelValues::Bytes(bytes) => {
            let bytes = || bytes.iter().copied();
            [bytes().min(), bytes().max()].map(|value| value.unwrap_or(0).into())
        }
        PixelValues::Floats(floats) => floats
            .iter()
            .fold([f32::INFINITY, f32::NEG_INFINITY], |[least, most], value| [least.min(*value), most.max(*value)]),
    }
}

/// Brings the values of all parts to the range of pixels: bytes, or floats from 0 to 1. With `--standardise`, floats stay as they are.
///
/// Bytes of 0 and 1 alone are binary and become 0 and 255.
///
/// # Errors
///
/// [`Error::Config`] with the range that was found and what helps.
pub(super) fn apply(config: &DataConfig, parts: &mut [Part]) -> Result<(), Error> {
    let ranges: Vec<[f32; 2]> = parts.iter().map(|part| extremes(&part.values)).collect();
    check_agreement(parts, &ranges)?;
    if let Some(scale) = config.scale {
        for part in &mut *parts {
            divide(&mut part.values, scale);
        }
    } else {
        let of_bytes = |part: &&Part| matches!(part.values, PixelValues::Bytes(_));
        let bytes = parts.iter().filter(of_bytes).count();
        if config.standardise && bytes < parts.len() {
            for part in &mut *parts {
                divide(&mut part.values, 1.0);
            }
        } else if parts.iter().filter(of_bytes).all(|part| extremes(&part.values)[1] <= 1.0) {
            for part in &mut *parts {
                if let PixelValues::Bytes(bytes) = &mut part.values {
                    bytes.iter_mut().for_each(|byte| *byte *= 255);
                }
            }
        }
    }
    if config.standardise {
        return Ok(());
    }
    let floats = |part: &Part| matches!(part.values, PixelValues::Floats(_));
    for (part, found) in parts.iter().zip(ranges) {
        let [least, most] = extremes(&part.values);
        if floats(part) && !(least >= 0.0 && most <= 1.0) {
            return Err(refusal(config, part, found));
        }
    }
    Ok(())
}

fn refusal(config: &DataConfig, part: &Part, [least, most]: [f32; 2]) -> Error {
    let found = format!("values from {least} to {most} in {}", part.path.display());
    if let Some(scale) = config.scale {
        return Error::Config { option: "--scale", expected: format!("values from 0 to {scale} in the data"), found };
    }
    let scale = [255.0, 65535.0].into_iter().find(|scale| most <= *scale).unwrap_or(most);
    let divide = if least >= 0.0 { format!("--scale {scale} to divide them, or ") } else { String::new() };
    let expected = format!("bytes, or values from 0 to 1 (or {divide}--standardise for the gaussian likelihoods)");
    Error::Config { option: "--data", expected, found }
}

/// Checks that no part has values from 0 to 1 where another has them from 0 to 255.
fn check_agreement(parts: &[Part], ranges: &[[f32; 2]]) -> Result<(), Error> {
    let reach = |[least, most]: [f32; 2]| least.abs().max(most.abs());
    let name = |part: &Part| part.role.unwrap_or(Role::Train).name();
    for (small, of_small) in parts.iter().zip(ranges) {
        for (large, of_large) in parts.iter().zip(ranges) {
            let is_small = reach(*of_small) > 0.0 && reach(*of_small) <= 1.0;
            if is_small && reach(*of_large) >= OTHER_RANGE {
                let of = |[least, most]: [f32; 2], part| format!("{least} to {most} in the {} images", name(part));
                return Err(Error::Config {
                    option: "--data",
                    expected: "values of one range in all parts (divide one of them before you save it)".into(),
                    found: format!("{} and {}", of(*of_small, small), of(*of_large, large)),
                });
            }
        }
    }
    Ok(())
}

/// Divides values. Whole numbers from 0 to 255, divided by 255, are bytes.
fn divide(values: &mut PixelValues, scale: f32) {
    let byte = |value: f32| (value == value.trunc() && (0.0..=255.0).contains(&value)).then_some(value as u8);
    match values {
        PixelValues::Bytes(_) if scale == 255.0 => {}
        PixelValues::Bytes(bytes) => {
            *values = PixelValues::Floats(bytes.iter().map(|byte| f32::from(*byte) / scale).collect());
        }
        PixelValues::Floats(floats) => {
            let bytes = if scale == 255.0 { floats.iter().map(|value| byte(*value)).collect() } else { None };
            match bytes {
                Some(bytes) => *values = PixelValues::Bytes(bytes),
                None => floats.iter_mut().for_each(|value| *value /= scale),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{load_file, npy, npz};
    use super::super::{Dataset, Images};
    use super::*;

    fn floats(values: &[f32]) -> Vec<u8> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        npy("<f4", &format!("({}, 1, 1)", values.len()), &bytes)
    }

    fn load(train: Vec<u8>, test: Vec<u8>, config: DataConfig) -> Result<Dataset, String> {
        load_file("a.npz", &npz(&[("train", train), ("test", test)]), config).map(|loaded| loaded.dataset)
    }

    fn train_pixels(train: Vec<u8>, test: Vec<u8>, config: DataConfig) -> Vec<f32> {
        load(train, test, config).unwrap().train.images.pixels().collect()
    }

    #[test]
    fn values_come_to_0_to_1() {
        let default = DataConfig::default;
        let scale = |scale| DataConfig { scale: Some(scale), ..default() };
        let standardise = || DataConfig { standardise: true, ..default() };
        assert_eq!(train_pixels(floats(&[0.25, 1.0]), floats(&[0.0]), default()), [0.25, 1.0]);
        assert_eq!(train_pixels(floats(&[2.0, 6.0]), floats(&[4.0]), scale(8.0)), [0.25, 0.75]);
        assert_eq!(train_pixels(floats(&[-2.0, 300.0]), floats(&[4.0]), standardise()), [-2.0, 300.0]);
        // Other types than bytes, of the same values, give the same bytes.
        let small = npy("<i4", "(2, 1, 1)", &[51, 0, 0, 0, 255, 0, 0, 0]);
        let images =
            |train: Vec<u8>, config| -> Images { load(train, floats(&[0.0, 1.0]), config).unwrap().train.images };
        let bytes = load(small.clone(), npy("|u1", "(1, 1, 1)", &[102]), default()).unwrap().train.images;
        assert_eq!(bytes.bytes(), Some(&[51, 255][..]));
        assert_eq!(load(floats(&[51.0, 255.0]), floats(&[102.0]), scale(255.0)).unwrap().train.images, bytes);
        assert_eq!(load(small.clone(), floats(&[102.0]), scale(255.0)).unwrap().train.images, bytes);
        // Bytes beside other numbers are numbers.
        let mixed = load(small, floats(&[-3.0]), standardise()).unwrap().train.images;
        assert_eq!(mixed.pixels().collect::<Vec<_>>(), [51.0, 255.0]);
        let bits = images(npy("|b1", "(2, 1, 1)", &[0, 1]), default());
        assert_eq!(bits.bytes(), Some(&[0, 255][..]));
    }

    #[test]
    fn other_ranges_are_refused_with_a_way_out() {
        let default = DataConfig::default;
        let scale = |scale| DataConfig { scale: Some(scale), ..default() };
        let standardise = DataConfig { standardise: true, ..default() };
        let help = "expected bytes, or values from 0 to 1 (or";
        for (train, test, config, words) in [
            (
                &[0.0, 255.0][..],
                &[1.5][..],
                default(),
                &[help, "--scale 255 to divide", "from 0 to 255 in a.npz/train.npy"][..],
            ),
            (&[0.0, 1000.0], &[1.5], default(), &[help, "--scale 65535", "--standardise"]),
            (&[-1.0, 1.0], &[0.5], default(), &["(or --standardise for the gaussian", "from -1 to 1"]),
            (&[0.0, 300.0], &[9.5], scale(255.0), &["--scale: expected values from 0 to 255", "from 0 to 300"]),
            (
                &[0.0, 1.0],
                &[0.0, 254.5],
                default(),
                &["one range in all parts", "0 to 1 in the training", "0 to 254.5 in the test"],
            ),
            (&[0.0, 1.0], &[0.0, 254.5], scale(255.0), &["one range in all parts"]),
            (&[0.0, 254.5], &[0.5], standardise, &["one range in all parts"]),
            (&[0.0, f32::INFINITY], &[0.5], scale(255.0), &["found inf in row 1, column 0"]),
        ] {
            let error = load(floats(train), floats(test), config).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}: not {words:?}");
        }
        let bits = npy("|u1", "(2, 1, 1)", &[0, 1]);
        let error = load(bits, npy("|u1", "(1, 1, 1)", &[200]), default()).unwrap_err();
        assert!(error.contains("0 to 1 in the training images and 200 to 200 in the test images"), "{error}");
    }
}
