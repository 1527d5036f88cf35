//! What to try if a training diverged.

use crate::Error;
use crate::data::Images;
use crate::vae::{Described, Model};

/// The absolute values of data that are far from those that a model can learn at once.
const FAR: f32 = 20.0;

/// What is known about a training before it begins.
#[derive(Clone, Copy, Debug)]
pub struct Divergence {
    /// The largest absolute value that the model sees.
    reach: f32,
    is_standardised: bool,
    has_logvar_range: bool,
}

impl Divergence {
    /// Looks at the model and the training set.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if a value becomes too large.
    pub fn of(model: &Model, examples: Described<'_>) -> Result<Divergence, Error> {
        let reach = |images: &Images| match images.bytes() {
            Some(_) => 1.0,
            None => images.pixels().fold(0.0, |most: f32, value| most.max(value.abs())),
        };
        Ok(Divergence {
            reach: examples
                .examples()
                .images()
                .map_or(Ok(1.0), |images| model.seen(images).map(|seen| reach(&seen)))?,
            is_standardised: model.config.standardisation.is_some(),
            has_logvar_range: model.config.posterior.logvar_range.is_some(),
        })
    }

    /// The error for a value that is NaN or infinite.
    pub fn error(self, epoch: u32, step: u32, what: &'static str, value: f32) -> Error {
        Error::Diverged { what, epoch, step, value, advice: self.advice(epoch, what) }
    }

    /// Fails if there is a value that is NaN or infinite.
    pub fn check(self, epoch: u32, step: u32, found: Option<(&'static str, f32)>) -> Result<(), Error> {
        found.map_or(Ok(()), |(what, value)| Err(self.error(epoch, step, what, value)))
    }

    fn advice(self, epoch: u32, what: &str) -> String {
        let reach = if self.reach < 1e6 { self.reach.to_string() } else { format!("{:e}", self.reach) };
        if epoch == 1 && self.reach > FAR {
            return if self.is_standardised {
                format!(
                    "the standardised data reach {reach}: look for outliers and for columns that hardly change, or use \
                     a smaller learning rate"
                )
            } else {
                format!("the data reach {reach}: divide them (--scale), or use --standardise")
            };
        }
        let range = if what == "the KL divergence" && !self.has_logvar_range {
            "--logvar-range -6,2 keeps the posterior's variances in bounds; other "
        } else {
            ""
        };
        format!(
            "{range}likely causes are a learning rate that is too large, a KL weight that is too large, or a variance \
             that is too small"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_come_before_the_learning_rate() {
        let known = |reach, is_standardised| Divergence { reach, is_standardised, has_logvar_range: false };
        assert!(known(255.0, false).advice(1, "the loss").contains("reach 255: divide them (--scale)"));
        assert!(known(255.0, true).advice(1, "the loss").contains("outliers"));
        assert!(known(255.0, false).advice(2, "the loss").starts_with("likely causes are a learning rate"));
        assert!(known(1.0, false).advice(1, "the loss").starts_with("likely causes are a learning rate"));
        assert!(known(1.0, false).advice(1, "the KL divergence").starts_with("--logvar-range"));
        let bounded = Divergence { has_logvar_range: true, ..known(1.0, false) };
        assert!(bounded.advice(1, "the KL divergence").starts_with("likely causes are a learning rate"));
    }
}
