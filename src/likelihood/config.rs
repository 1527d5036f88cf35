//! The likelihood and its settings.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{LOGVAR, Likelihood, gaussian_predicted};
use crate::Error;
use crate::error::require;
use crate::nn::{Init, ParameterSpec};

/// The likelihood and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct LikelihoodConfig {
    /// What the decoder describes
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    pub likelihood: Likelihood,
    /// The Gaussian likelihoods' variance: fixed, or where learning starts
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.1,
        allow_negative_numbers = true,
        help_heading = "Data and model"
    )]
    pub variance: f32,
    /// Levels of a pixel with --likelihood categorical: 2 for black and white, 256 for bytes
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Data and model")]
    pub categories: usize,
}

impl Default for LikelihoodConfig {
    fn default() -> LikelihoodConfig {
        LikelihoodConfig { likelihood: Likelihood::default(), variance: 0.1, categories: 2 }
    }
}

impl LikelihoodConfig {
    /// Checks the values that likelihoods take.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let LikelihoodConfig { likelihood, variance, categories } = *self;
        let normal = variance.is_normal() && variance > 0.0;
        require("--variance", normal, "a finite number above 0", variance)?;
        let above_floor = f64::from(variance) > gaussian_predicted::VARIANCE_FLOOR;
        let fits = above_floor || likelihood != Likelihood::GaussianPredicted;
        require("--variance", fits, "a number above 0.0001 with --likelihood gaussian-predicted", variance)?;
        require("--categories", (2..=256).contains(&categories), "a number from 2 to 256", categories)
    }

    /// Numbers that the decoder puts out for each dimension.
    pub fn outputs_per_dimension(&self) -> usize {
        match self.likelihood {
            Likelihood::Bernoulli
            | Likelihood::Gaussian
            | Likelihood::GaussianFixed
            | Likelihood::GaussianPerDimension => 1,
            Likelihood::GaussianPredicted | Likelihood::DiscretisedLogistic | Likelihood::BetaBinomial => 2,
            Likelihood::Categorical => self.categories,
        }
    }

    /// The parameters beside the decoder's, if any, for data of so many dimensions.
    pub fn parameters(&self, dimensions: usize) -> Option<ParameterSpec> {
        let columns = match self.likelihood {
            Likelihood::Gaussian => 1,
            Likelihood::GaussianPerDimension => dimensions,
            _ => return None,
        };
        Some(ParameterSpec { name: LOGVAR.to_owned(), rows: None, columns, init: Init::Constant(self.variance.ln()) })
    }
}
