//! Priors p(z): what latents look like before any data are seen.

pub mod standard_normal;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the KL divergence from the posterior to the prior is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KlEstimate {
    /// By its formula.
    #[default]
    ClosedForm,
    /// By the sample estimate log q(z|x) - log p(z), whose mean is the same.
    Sampled,
}
