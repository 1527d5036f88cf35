//! The configuration of a model.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{WIDEST, Widths, require};
use crate::Error;
use crate::data::Binarize;
use crate::likelihood::Likelihood;
use crate::nn::{Activation, Normalise};
use crate::posterior::LogvarRange;
use crate::prior::{Prior, mixture};

/// The shape of the model.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Widths of the encoder's hidden layers, first to last, as 400 or 512,256; `none` for a linear model. The decoder
    /// mirrors them
    #[arg(long, value_name = "WIDTHS", default_value = "400", help_heading = "Data and model")]
    pub hidden: Widths,
    /// Number of latents
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Data and model")]
    pub latents: usize,
    /// How data become what the model sees
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(default)]
    pub binarize: Binarize,
    /// The nonlinearity after each hidden layer
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    pub activation: Activation,
    /// Normalisation of each hidden layer before its nonlinearity
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(default)]
    pub normalise: Normalise,
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
    #[serde(default = "default_categories")]
    pub categories: usize,
    /// What latents look like before any data are seen
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(default)]
    pub prior: Prior,
    /// Components of the priors that are mixtures
    #[arg(long, value_name = "M", default_value_t = 500, help_heading = "Data and model")]
    #[serde(default = "default_components")]
    pub components: usize,
    /// Hold the log variances of the posterior and of a mixture's components to a range, as -6,2; what lies
    /// outside has no gradient [default: none]
    #[arg(long, value_name = "MIN,MAX", allow_hyphen_values = true, help_heading = "Data and model")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logvar_range: Option<LogvarRange>,
}

impl Default for ModelConfig {
    fn default() -> ModelConfig {
        ModelConfig {
            hidden: Widths(vec![400]),
            latents: 20,
            binarize: Binarize::default(),
            activation: Activation::default(),
            normalise: Normalise::default(),
            likelihood: Likelihood::default(),
            variance: 0.1,
            categories: default_categories(),
            prior: Prior::default(),
            components: default_components(),
            logvar_range: None,
        }
    }
}

fn default_categories() -> usize {
    2
}

fn default_components() -> usize {
    500
}

impl ModelConfig {
    /// Checks that such a model can exist.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        for &width in &self.hidden.0 {
            require("--hidden", (1..=WIDEST).contains(&width), "widths from 1 to 1048576", width)?;
        }
        require("--latents", (1..=WIDEST).contains(&self.latents), "a number from 1 to 1048576", self.latents)?;
        self.likelihood.validate(self.variance, self.categories)?;
        let most = mixture::MOST_COMPONENTS;
        let components_fit = (1..=most).contains(&self.components);
        require("--components", components_fit, &format!("a number from 1 to {most}"), self.components)?;
        // Pseudo-inputs would have statistics, and gradients, of their own.
        let fits = self.prior != Prior::VampPrior || self.normalise == Normalise::None;
        require("--normalise", fits, "none with --prior vamp-prior", format!("{:?}", self.normalise).to_lowercase())
    }

    /// Whether the KL divergence is a sample estimate for want of a closed form, whatever the objective asks for.
    pub fn kl_is_estimate(&self) -> bool {
        !self.prior.has_closed_form()
    }

    /// Checks that the model can be trained in batches of that size.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a single example would be normalised over the batch.
    pub fn validate_batch(&self, batch_size: usize) -> Result<(), Error> {
        let fits = self.normalise != Normalise::Batch || batch_size > 1;
        require("--batch-size", fits, "at least 2, and --micro-batch-size too, with --normalise batch", batch_size)
    }
}
