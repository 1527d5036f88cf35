//! Posteriors q(z|x): what the encoder describes.

pub mod normal;

use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

/// The posterior's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct PosteriorConfig {
    /// Hold the log variances of the posterior and of a mixture's components to a range, as -6,2; what lies
    /// outside has no gradient [default: none]
    #[arg(long, value_name = "MIN,MAX", allow_hyphen_values = true, help_heading = "Data and model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logvar_range: Option<LogvarRange>,
}

/// The range that the log variances of the posterior and of a mixture's components are held to: what lies
/// outside is moved to the nearer end, and has no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogvarRange {
    /// The smallest log variance.
    pub min: f32,
    /// The largest log variance.
    pub max: f32,
}

impl LogvarRange {
    /// The log variance that the model sees; NaN stays.
    pub fn hold(self, logvar: f32) -> f32 {
        if logvar < self.min {
            self.min
        } else if logvar > self.max {
            self.max
        } else {
            logvar
        }
    }

    /// What `shaders/lib/logvar.wgsl` takes: nothing where there is no range.
    pub(crate) fn overrides(range: Option<LogvarRange>) -> impl Iterator<Item = (&'static str, f64)> {
        let ends = range.map(|LogvarRange { min, max }| [("LOGVAR_MIN", min), ("LOGVAR_MAX", max)]);
        ends.into_iter().flatten().map(|(name, value)| (name, f64::from(value)))
    }
}

impl FromStr for LogvarRange {
    type Err = String;

    fn from_str(text: &str) -> Result<LogvarRange, String> {
        let parsed = text.split_once(',').and_then(|(min, max)| {
            let range = LogvarRange { min: min.trim().parse().ok()?, max: max.trim().parse().ok()? };
            (range.min.abs() < 1e3 && range.max.abs() < 1e3 && range.min < range.max).then_some(range)
        });
        parsed.ok_or_else(|| format!("expected two numbers, the smaller one first, as in -6,2, found `{text}`"))
    }
}

impl fmt::Display for LogvarRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_in_order() {
        let range = LogvarRange { min: -6.0, max: 2.0 };
        assert_eq!("-6, 2".parse(), Ok(range));
        assert_eq!(range.to_string().parse(), Ok(range));
        for wrong in ["", "2", "2,-6", "1,1", "a,b", "-inf,2", "NaN,2", "0,1,2"] {
            assert!(wrong.parse::<LogvarRange>().is_err_and(|message| message.contains(&format!("`{wrong}`"))));
        }
        assert_eq!([-7.0, -6.0, 0.5, 3.0].map(|logvar| range.hold(logvar)), [-6.0, -6.0, 0.5, 2.0]);
        assert!(range.hold(f32::NAN).is_nan());
    }
}
