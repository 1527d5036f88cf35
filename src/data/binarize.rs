//! How grey images are binarised.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Whether and how grey images are binarised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binarize {
    /// Not at all.
    #[default]
    None,
    /// 1 if the pixel is at least one half, else 0.
    Threshold,
    /// 1 with the pixel's value as the probability: one draw for training and one for evaluation, which depend on the seed.
    Static,
    /// The same with a new draw in each step of training; evaluation always uses the same draw.
    Dynamic,
}

impl Binarize {
    /// The name of its constant in `shaders/data/batch.wgsl`.
    pub(super) fn wgsl_name(self) -> &'static str {
        match self {
            Binarize::None => "NONE",
            Binarize::Threshold => "THRESHOLD",
            Binarize::Static => "STATIC",
            Binarize::Dynamic => "DYNAMIC",
        }
    }
}
