//! How grey images become black and white.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How data become what the model sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binarize {
    /// As they are.
    #[default]
    None,
    /// White from one half on.
    Threshold,
    /// White with the pixel's value as the probability: by the seed, one draw for training and one for evaluation.
    Static,
    /// The same with a new draw in each step of training; evaluation keeps to its one draw.
    Dynamic,
}

impl Binarize {
    /// The name of the constant that stands for it in `shaders/data/batch.wgsl`.
    pub(super) fn wgsl_name(self) -> &'static str {
        match self {
            Binarize::None => "NONE",
            Binarize::Threshold => "THRESHOLD",
            Binarize::Static => "STATIC",
            Binarize::Dynamic => "DYNAMIC",
        }
    }
}
