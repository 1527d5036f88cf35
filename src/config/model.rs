//! The configuration of a model, and the rules between its parts.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::text::TextConfig;
use crate::Error;
use crate::data::{Binarize, Standardisation};
use crate::error::require;
use crate::likelihood::LikelihoodConfig;
use crate::nn::{Activation, Extent, Initialisation, Layers, NormKind, Upsample, WIDEST};
use crate::objective::{Objective, ObjectiveConfig};
use crate::posterior::PosteriorConfig;
use crate::prior::PriorConfig;

/// The shape of the model.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The encoder's hidden layers, first to last, as 400 or conv32k4s2,conv64k4s2,256; `none` for a linear model. A number is a dense
    /// layer; conv32k4s2p1 a convolution with 32 channels, kernel 4, stride 2 and padding 1 (if they are left out: kernel 3, stride 1,
    /// half of the kernel as padding); res64 a residual block; pool the mean of 2 x 2. The decoder mirrors them. Of text, one or two of
    /// gru256 or lstm256, or cnn256: dilated convolutions, causal in the decoder [default: 400 for grey images up to 28 x 28, convolutions for others, gru256 for text]
    #[arg(long, value_name = "LAYERS", help_heading = "Data and model")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Layers>,
    /// The layers that the decoder mirrors, if they are not the encoder's: from the image on, as an encoder's; of text, the decoder's own
    #[arg(long, value_name = "LAYERS", help_heading = "Data and model")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_hidden: Option<Layers>,
    /// How the decoder makes grids larger, if --hidden has convolutions
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub upsample: Upsample,
    /// Number of latents
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Data and model")]
    pub latents: usize,
    /// Whether and how grey images are binarised
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(default)]
    pub binarize: Binarize,
    /// Activation after each hidden layer
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    pub activation: Activation,
    /// Normalisation of each hidden layer before its activation [default: batch with convolutions that were chosen for the images,
    /// none otherwise]
    #[arg(long, value_enum, help_heading = "Data and model")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalise: Option<NormKind>,
    /// How weights and biases start
    #[arg(long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub init: Initialisation,
    /// The likelihood.
    #[command(flatten)]
    #[serde(flatten)]
    pub likelihood: LikelihoodConfig,
    /// The prior.
    #[command(flatten)]
    #[serde(flatten)]
    pub prior: PriorConfig,
    /// The posterior.
    #[command(flatten)]
    #[serde(flatten)]
    pub posterior: PosteriorConfig,
    /// What models of text have besides.
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub text: TextConfig,
    /// How values become those that the model sees, measured in the training set with `--standardise`.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardisation: Option<Standardisation>,
}

/// Whether a value goes without saying: files of models that do without it stay as they were.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for ModelConfig {
    fn default() -> ModelConfig {
        ModelConfig {
            hidden: None,
            decoder_hidden: None,
            upsample: Upsample::default(),
            latents: 20,
            binarize: Binarize::default(),
            activation: Activation::default(),
            normalise: None,
            init: Initialisation::default(),
            likelihood: LikelihoodConfig::default(),
            prior: PriorConfig::default(),
            posterior: PosteriorConfig::default(),
            text: TextConfig::default(),
            standardisation: None,
        }
    }
}

impl ModelConfig {
    /// Checks the values that need no data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        for (option, layers) in self.layers() {
            layers.validate(option, self.activation.inputs())?;
        }
        require("--latents", (1..=WIDEST).contains(&self.latents), "a number from 1 to 1048576", self.latents)?;
        self.likelihood.validate()?;
        self.prior.validate()?;
        // The batch of pseudo-inputs would have its own statistics, with gradients of their own.
        let normalise = self.normalise.unwrap_or_default();
        let fits = self.may_normalise() || normalise == NormKind::None;
        require("--normalise", fits, "none with --prior vamp-prior", format!("{normalise:?}").to_lowercase())
    }

    /// Whether hidden layers can be normalised.
    pub fn may_normalise(&self) -> bool {
        !self.prior.has_pseudo_inputs()
    }

    /// The layers that are given, with the names of their options.
    fn layers(&self) -> impl Iterator<Item = (&'static str, &Layers)> {
        let given = [("--hidden", &self.hidden), ("--decoder-hidden", &self.decoder_hidden)];
        given.into_iter().filter_map(|(option, layers)| layers.as_ref().map(|layers| (option, layers)))
    }

    /// Checks that the layers fit an image.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first layer that does not.
    pub fn validate_layers(&self, image: Extent) -> Result<(), Error> {
        self.layers().try_for_each(|(option, layers)| layers.validate_for(option, image))
    }

    /// Whether the KL divergence is always a sample estimate, because it has no closed form.
    pub fn kl_is_estimate(&self) -> bool {
        !self.prior.has_closed_form()
    }

    /// Checks that the model can be trained with the given batch size.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a single example would be normalised over the batch.
    pub fn validate_batch(&self, batch_size: usize) -> Result<(), Error> {
        let fits = self.normalise != Some(NormKind::Batch) || batch_size > 1;
        require("--batch-size", fits, "at least 2, and --micro-batch-size too, with --normalise batch", batch_size)
    }

    /// Checks that the objective works with the model's prior. Free bits weight each latent separately, but without a
    /// closed form the KL divergence is not a sum over latents. A capacity weights all latents equally.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if not.
    pub fn validate_objective(&self, objective: &ObjectiveConfig) -> Result<(), Error> {
        let fits = objective.kind != Objective::FreeBits || !self.kl_is_estimate();
        require("--objective", fits, "another one than free-bits, unless --prior is standard-normal", "free-bits")
    }
}
