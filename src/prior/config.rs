//! The prior and its settings.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::vamp_prior::PSEUDO_INPUTS;
use super::{COMPONENTS, Prior, mixture};
use crate::Error;
use crate::error::require;
use crate::nn::{Init, ParameterSpec};

/// The prior and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct PriorConfig {
    /// What latents look like before any data are seen
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    pub prior: Prior,
    /// Components of the priors that are mixtures
    #[arg(long, value_name = "M", default_value_t = 500, help_heading = "Data and model")]
    pub components: usize,
}

impl Default for PriorConfig {
    fn default() -> PriorConfig {
        PriorConfig { prior: Prior::default(), components: 500 }
    }
}

impl PriorConfig {
    /// Checks the values that priors take.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let most = mixture::MOST_COMPONENTS;
        let fits = (1..=most).contains(&self.components);
        require("--components", fits, &format!("a number from 1 to {most}"), self.components)
    }

    /// The parameters, if any, for inputs of so many `dimensions`.
    ///
    /// A mixture's means start about as far out as draws from a standard normal are, with variances of 1. Pseudo-inputs start
    /// as zeros until training gives them images.
    pub fn parameters(&self, latents: usize, dimensions: usize) -> Option<ParameterSpec> {
        let spec = |name: &str, columns, init| {
            let rows = Some(self.components);
            ParameterSpec { name: name.to_owned(), rows, columns, init }
        };
        match self.prior {
            Prior::StandardNormal => None,
            // The uniform distribution of variance 1.
            Prior::Mixture => Some(spec(COMPONENTS, 2 * latents, Init::Normals { bound: 3f32.sqrt() })),
            Prior::VampPrior => Some(spec(PSEUDO_INPUTS, dimensions, Init::Constant(0.0))),
        }
    }

    /// Columns of the tensor of scores, with a row for each draw; 0 where the prior needs none.
    pub fn score_columns(&self) -> usize {
        if self.prior.has_closed_form() { 0 } else { self.components }
    }
}
