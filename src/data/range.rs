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
