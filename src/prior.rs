//! Priors p(z): the distributions of the latents before any data are seen.
//!
//! If the KL divergence from the posterior has a closed form, a prior is only a part for the slot `prior` of the
//! posterior's kernels. Other priors have dispatches of their own.
//!
//! A prior is an implementation of `LatentDensity`, which describes it before any tensor exists, and of `PriorState`, which
//! records it for one batch size. Both are in a file of its own, with its WGSL files at the same path. To add one, write these,
//! and add a variant to [`Prior`] and an arm to `PriorConfig::density`.

pub(crate) mod mixture;
pub mod standard_normal;
mod vamp_prior;

use std::fmt::Debug;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::data::batch::DeviceExamples;
use crate::error::require;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Tensor};
use crate::nn::exact::{ExactStack, HostParameters};
use crate::nn::{ParameterSpec, Stack};
use crate::posterior::{PosteriorConfig, Reparameterised};
use crate::step::At;
use mixture::{MOST_COMPONENTS, MixtureOfNormals};
use standard_normal::StandardNormal;
use vamp_prior::VampPrior;

/// How the KL divergence from the posterior to the prior is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KlEstimate {
    /// By its formula.
    #[default]
    ClosedForm,
    /// By the sample estimate log q(z|x) - log p(z), whose mean is the same.
    Sampled,
}

/// The prior of the latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// Normal, with mean 0 and variance 1.
    #[default]
    StandardNormal,
    /// A mixture of --components normals with equal weights, whose means and variances are learned.
    Mixture,
    /// A mixture of the posteriors of --components learned inputs, which start as training images (Tomczak & Welling
    /// 2018); not with --normalise.
    VampPrior,
}

/// The prior and its settings.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct PriorConfig {
    /// The prior p(z) of the latents
    #[arg(id = "prior", long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(rename = "prior", default)]
    pub kind: Prior,
    /// Number of components of the priors that are mixtures
    #[arg(long, value_name = "M", default_value_t = 500, help_heading = "Data and model")]
    #[serde(default = "default_components")]
    pub components: usize,
}

impl Default for PriorConfig {
    fn default() -> PriorConfig {
        PriorConfig { kind: Prior::default(), components: default_components() }
    }
}

fn default_components() -> usize {
    500
}

impl PriorConfig {
    /// The prior with its kernels: the only place that lists them all.
    pub(crate) fn density(&self) -> Box<dyn LatentDensity> {
        match self.kind {
            Prior::StandardNormal => Box::new(StandardNormal),
            Prior::Mixture => Box::new(MixtureOfNormals { components: self.components }),
            Prior::VampPrior => Box::new(VampPrior { components: self.components }),
        }
    }

    /// Checks the settings of priors.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let fits = (1..=MOST_COMPONENTS).contains(&self.components);
        require("--components", fits, &format!("a number from 1 to {MOST_COMPONENTS}"), self.components)
    }

    /// Whether its components come from the encoder, which then has to be one of images.
    pub fn has_pseudo_inputs(&self) -> bool {
        self.kind == Prior::VampPrior
    }

    /// Whether the KL divergence from the posterior has a closed form. If it has none, it is the sample estimate
    /// `log q(z|x) - log p(z)`, whatever the configuration asks for.
    pub fn has_closed_form(&self) -> bool {
        self.density().has_closed_form()
    }
}

/// The arguments that a prior is made from, for one batch size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriorContext<'a> {
    pub gpu: &'a Gpu,
    pub parameters: &'a Arena,
    pub encoder: Option<&'a Stack>,
    pub posterior: &'a PosteriorConfig,
    pub latents: usize,
    /// The largest number of draws, `B * samples`.
    pub rows: usize,
    /// How the KL divergence is computed, if there is a choice.
    pub estimate: KlEstimate,
    /// Whether a backward pass follows.
    pub trains: bool,
}

/// A prior as a description.
pub(crate) trait LatentDensity: Debug {
    /// As [`PriorConfig::has_closed_form`].
    fn has_closed_form(&self) -> bool {
        false
    }

    /// Its parameter, if there is one, for inputs of the given number of dimensions.
    fn parameter(&self, _latents: usize, _dimensions: usize) -> Option<ParameterSpec> {
        None
    }

    /// The most columns of its tensors that have a row for each draw.
    fn widest(&self) -> usize {
        0
    }

    /// Sets the parameter if it starts from training data, which `upload` brings to the GPU.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are too few images.
    fn start_from(
        &self,
        _gpu: &Gpu,
        _upload: &dyn Fn() -> Result<DeviceExamples, Error>,
        _parameters: &Arena,
        _seed: u64,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// The components of the mixture that it is, all of the same weight, on the CPU: the mean and the log variance of each latent.
    fn components(
        &self,
        latents: usize,
        _parameters: &HostParameters,
        _posterior: &dyn Reparameterised,
        _encoder: &ExactStack,
    ) -> Vec<[Vec<f32>; 2]> {
        vec![[vec![0.0; latents], vec![0.0; latents]]]
    }

    /// The KL divergence in PyTorch, for a writer of modules: the lines of a function whose arguments are the posterior's `mean` and
    /// `logvar`, and draws `z` from it, all `(B, L)`; it returns `(B)`. It can use `parameter(name)` and the method `encode`, which has the
    /// mean and the log variance of what the model sees.
    fn kl_in_pytorch(&self, posterior: &PosteriorConfig, encode: &str) -> String;

    /// Makes its tensors.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    fn state(&self, context: PriorContext<'_>) -> Result<Box<dyn PriorState>, Error>;
}

/// A prior for one batch size, recorded over a network's tensors.
///
/// # Shapes
///
/// - `z`: `(B * samples, L)`
/// - `kl`: `(B * samples, L)`, in nats
/// - `gradients`: an arena with the gradient of each parameter of the model
pub(crate) trait PriorState: Debug {
    /// The part for the slot `prior`.
    fn part(&self) -> &Part;

    /// Records the values that depend only on the parameters. They must be recomputed when the parameters change.
    fn prepare(&self) -> Result<Vec<Dispatch>, Error> {
        Ok(Vec::new())
    }

    /// Records the dispatches after the draws from the posterior, which complete `kl`.
    fn forward(&self, _at: At<'_>, _z: &Tensor, _kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        Ok(Vec::new())
    }

    /// Records the tensors that the part reads in the gradient of the posterior.
    fn backward_z(&self, _at: At<'_>, _z: &Tensor) -> Result<Option<Dispatch>, Error> {
        Ok(None)
    }

    /// Records the gradients with respect to its own parameters. If the encoder makes the components, the gradients
    /// through them are added to the encoder's gradients, which must be stored already.
    fn backward(
        &self,
        _at: At<'_>,
        _objective: &Part,
        _z: &Tensor,
        _gradients: &Arena,
    ) -> Result<Vec<Dispatch>, Error> {
        Ok(Vec::new())
    }

    /// Records draws from the prior into `z`, with noise keyed by the step.
    fn sample(&self, at: At<'_>, z: &Tensor) -> Result<Dispatch, Error>;
}
