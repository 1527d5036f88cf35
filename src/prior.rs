//! Priors p(z): what latents look like before any data are seen.
//!
//! Where the KL divergence from the posterior has a closed form, a prior is no more than what fills the slot `prior` of the
//! posterior's kernels. Other priors take dispatches of their own, which [`PriorState`] records.

mod config;
pub(crate) mod mixture;
pub mod standard_normal;
mod vamp_prior;

pub use config::PriorConfig;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::data::batch::DeviceImages;
use crate::data::order;
use crate::error::require;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Program, Tensor};
use crate::nn::Mlp;
use crate::noise::{self, Stream};
use crate::posterior::PosteriorConfig;
use crate::steps::Step;
use mixture::Mixture;
use vamp_prior::{PSEUDO_INPUTS, PseudoInputs};

/// The name of the parameter.
const COMPONENTS: &str = "prior.components";

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

impl Prior {
    /// Whether the KL divergence from the posterior has a closed form. Where it has none it is the sample estimate
    /// `log q(z|x) - log p(z)`, whatever the configuration asks for.
    pub fn has_closed_form(self) -> bool {
        self == Prior::StandardNormal
    }

    /// Sets the parameters that start from training data: pseudo-inputs become the first images of an order that depends on
    /// the seed, as the model sees them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are fewer images than pseudo-inputs.
    pub(crate) fn start_from(
        self,
        gpu: &Gpu,
        upload: impl FnOnce() -> Result<DeviceImages, Error>,
        parameters: &Arena,
        seed: u64,
    ) -> Result<(), Error> {
        if self != Prior::VampPrior {
            return Ok(());
        }
        let (images, inputs) = (upload()?, parameters.get(PSEUDO_INPUTS));
        let (count, examples) = (inputs.rows(), images.count());
        require("--components", count <= examples, &format!("at most the {examples} training images"), count)?;
        // Epochs count from 1.
        let order = Tensor::from_values(gpu, 1, examples, &order::shuffled(examples, seed, 0))?;
        let row = Step { rows: count as u32, key: noise::key(seed, Stream::Training), ..Step::default() };
        let step = Step::tensor(gpu)?;
        step.write(gpu, bytemuck::cast_slice::<Step, u32>(&[row]))?;
        let mut program = Program::default();
        program.push(images.gather(gpu, &step, &order, &inputs)?);
        gpu.run(&program, 1);
        Ok(())
    }
}

/// A prior for one batch size, recorded over a network's tensors.
pub struct PriorState {
    gpu: Gpu,
    parameters: Arena,
    part: Part,
    mixture: Option<Mixture>,
    /// Where the encoder makes the mixture's components; else they are a parameter.
    inputs: Option<PseudoInputs>,
}

impl PriorState {
    /// Makes what the prior of a model needs for up to `batch` examples with so many samples each.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(
        gpu: &Gpu,
        config: &PriorConfig,
        posterior: &PosteriorConfig,
        parameters: &Arena,
        encoder: &Mlp,
        estimate: KlEstimate,
        [batch, samples]: [usize; 2],
    ) -> Result<PriorState, Error> {
        let mixture =
            |components: &Tensor| Mixture::new(gpu, components, posterior.logvar_range, batch * samples, samples);
        let (mixture, inputs) = match config.prior {
            Prior::StandardNormal => (None, None),
            Prior::Mixture => (Some(mixture(&parameters.get(COMPONENTS))?), None),
            Prior::VampPrior => {
                let inputs = PseudoInputs::new(gpu, parameters, encoder)?;
                (Some(mixture(&inputs.components)?), Some(inputs))
            }
        };
        let part = mixture.as_ref().map_or_else(|| standard_normal::kl(estimate), Mixture::part);
        Ok(PriorState { gpu: gpu.clone(), parameters: parameters.clone(), part, mixture, inputs })
    }

    /// What fills the slot `prior`.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Records what depends on the parameters alone, and has to be made again when they change.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if a kernel cannot be made.
    pub fn prepare(&self) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = match &self.inputs {
            None => Vec::new(),
            Some(inputs) => inputs.encode(&self.gpu, &self.parameters)?,
        };
        dispatches.extend(self.mixture.as_ref().map(Mixture::prepare).transpose()?);
        Ok(dispatches)
    }

    /// Records what follows the draws from the posterior, and makes `kl` whole: `(rows, L)`, in nats. A mixture's density is
    /// no sum over latents; each latent gets an equal part of it.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors have other shapes.
    pub fn forward(&self, step: &Tensor, z: &Tensor, kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        match &self.mixture {
            None => Ok(Vec::new()),
            Some(mixture) => Ok(vec![mixture.score(step, z)?, mixture.combine(step, kl)?]),
        }
    }

    /// Records what the slot `prior` needs in the gradient of the posterior.
    ///
    /// # Errors
    ///
    /// As [`PriorState::forward`].
    pub fn backward_z(&self, step: &Tensor, z: &Tensor) -> Result<Option<Dispatch>, Error> {
        self.mixture.as_ref().map(|mixture| mixture.backward_z(step, z)).transpose()
    }

    /// Records the gradients of the prior's own parameters. If the encoder makes the components, what is due to it is added
    /// to its gradients, which must be there.
    ///
    /// # Errors
    ///
    /// As [`PriorState::forward`].
    pub fn backward(
        &self,
        step: &Tensor,
        objective: &Part,
        z: &Tensor,
        gradients: &Arena,
    ) -> Result<Vec<Dispatch>, Error> {
        let Some(mixture) = &self.mixture else { return Ok(Vec::new()) };
        let Some(inputs) = &self.inputs else {
            return Ok(vec![mixture.backward_components(step, objective, z, &gradients.get(COMPONENTS))?]);
        };
        let mut dispatches = vec![mixture.backward_components(step, objective, z, &inputs.dcomponents)?];
        dispatches.extend(inputs.backward(&self.gpu, &self.parameters, gradients)?);
        Ok(dispatches)
    }

    /// Records draws from the prior into `z`, `(B, L)`, with noise keyed by the step.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the batch is larger than the adapter's grid.
    pub fn sample(&self, step: &Tensor, z: &Tensor) -> Result<Dispatch, Error> {
        match &self.mixture {
            None => standard_normal::sample(&self.gpu, step, z),
            Some(mixture) => mixture.sample(step, z),
        }
    }
}
