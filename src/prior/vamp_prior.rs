//! The encoder over pseudo-inputs, whose posteriors are the components of a VampPrior.

use super::mixture::{Mixture, kl_in_pytorch};
use super::{LatentDensity, PriorContext, PriorState};
use crate::Error;
use crate::data::batch::DeviceExamples;
use crate::data::order;
use crate::error::require;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Program, Tensor};
use crate::nn::exact::{ExactStack, HostParameters};
use crate::nn::{Epilogue, Init, Mode, ParameterSpec, Recording, Role, Stack, StackGradients, StackValues};
use crate::noise::{self, Stream};
use crate::posterior::{PosteriorConfig, Reparameterised};
use crate::step::{At, Step};

/// The name of the parameter.
const PSEUDO_INPUTS: &str = "prior.pseudo_inputs";

/// A mixture of the posteriors of `M` pseudo-inputs. These are a parameter, `(M, D)`.
///
/// # Source
///
/// Tomczak & Welling 2018, "VAE with a VampPrior".
#[derive(Debug)]
pub(super) struct VampPrior {
    /// The number of pseudo-inputs, M.
    pub components: usize,
}

impl LatentDensity for VampPrior {
    /// Pseudo-inputs are zeros until [`LatentDensity::start_from`] gives them images.
    fn parameter(&self, _: usize, dimensions: usize) -> Option<ParameterSpec> {
        let (name, shape) = (PSEUDO_INPUTS.to_owned(), vec![self.components, dimensions]);
        Some(ParameterSpec { name, shape, role: Role::Bias, init: Init::Constant(0.0) })
    }

    fn widest(&self) -> usize {
        self.components
    }

    fn components(
        &self,
        _latents: usize,
        parameters: &HostParameters,
        posterior: &dyn Reparameterised,
        encoder: &ExactStack,
    ) -> Vec<[Vec<f32>; 2]> {
        let inputs = parameters.get(PSEUDO_INPUTS);
        let of = |input: &[f32]| posterior.mean_and_logvar(&encoder.evaluate(input));
        inputs.chunks_exact(inputs.len() / self.components).map(of).collect()
    }

    /// Pseudo-inputs become the first images of an order that depends on the seed, as the model sees them.
    fn start_from(
        &self,
        gpu: &Gpu,
        upload: &dyn Fn() -> Result<DeviceExamples, Error>,
        parameters: &Arena,
        seed: u64,
    ) -> Result<(), Error> {
        let DeviceExamples::Images(images) = upload()? else { unreachable!("a checked model has images") };
        let inputs = parameters.get(PSEUDO_INPUTS);
        let (count, examples) = (inputs.rows(), images.count());
        require("--components", count <= examples, &format!("at most the {examples} training images"), count)?;
        // Epochs count from 1.
        let order = Tensor::from_values(gpu, 1, examples, &order::shuffled(examples, seed, 0))?;
        let key = noise::key(seed, Stream::Training);
        let step = Step { examples: count as u32, key, ..Step::default() }.upload(gpu)?;
        let gathered = images.gather(At::new(gpu, &step, 1), &order, &inputs)?;
        gpu.run(&Program::from(gathered), 1);
        Ok(())
    }

    fn kl_in_pytorch(&self, _: &PosteriorConfig, encode: &str) -> String {
        format!("means, logvars = self.{encode}(parameter(\"{PSEUDO_INPUTS}\"))\n{}", kl_in_pytorch())
    }

    fn state(&self, context: PriorContext<'_>) -> Result<Box<dyn PriorState>, Error> {
        let PriorContext { gpu, parameters, encoder, posterior, latents, trains, .. } = context;
        let encoder = encoder.expect("a checked model has an encoder of images");
        let inputs = parameters.get(PSEUDO_INPUTS);
        let components = || Tensor::zeros(gpu, inputs.rows(), posterior.distribution().outputs(latents));
        let values = encoder.values(gpu, &inputs)?;
        let gradients = match trains {
            false => None,
            true => Some((encoder.gradients(gpu, &values)?, components()?)),
        };
        Ok(Box::new(State {
            gpu: gpu.clone(),
            parameters: parameters.clone(),
            mixture: Mixture::new(context, &components()?)?,
            encoder: encoder.clone(),
            values,
            gradients,
            step: Step { examples: inputs.rows() as u32, ..Step::default() }.upload(gpu)?,
        }))
    }
}

/// The encoder over the pseudo-inputs, with activations of its own, and the mixture that it makes.
#[derive(Debug)]
struct State {
    gpu: Gpu,
    parameters: Arena,
    mixture: Mixture,
    encoder: Stack,
    values: StackValues,
    /// The tensors of a backward pass, and the gradient with respect to the components, `(M, 2L)`.
    gradients: Option<(StackGradients, Tensor)>,
    /// A step that never changes, whose examples are the pseudo-inputs.
    step: Tensor,
}

impl State {
    fn recording(&self) -> Recording<'_> {
        let at = At::new(&self.gpu, &self.step, 1);
        Recording { accumulate: true, ..Recording::new(at, &self.parameters, Mode::Training) }
    }
}

impl PriorState for State {
    fn part(&self) -> &Part {
        self.mixture.part()
    }

    fn prepare(&self) -> Result<Vec<Dispatch>, Error> {
        let components = Epilogue::store(&self.mixture.components);
        let gradients = self.gradients.as_ref().map(|(gradients, _)| gradients);
        let mut dispatches = self.encoder.forward(self.recording(), &self.values, gradients, &components)?;
        dispatches.push(self.mixture.prepare()?);
        Ok(dispatches)
    }

    fn forward(&self, at: At<'_>, z: &Tensor, kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        self.mixture.forward(at, z, kl)
    }

    fn backward_z(&self, at: At<'_>, z: &Tensor) -> Result<Option<Dispatch>, Error> {
        self.mixture.backward_z(at, z).map(Some)
    }

    fn backward(&self, at: At<'_>, objective: &Part, z: &Tensor, gradients: &Arena) -> Result<Vec<Dispatch>, Error> {
        let Some((through, dcomponents)) = &self.gradients else { return Ok(Vec::new()) };
        let dinput = Epilogue::store(&gradients.get(PSEUDO_INPUTS));
        let mut dispatches = vec![self.mixture.backward_components(at, objective, z, dcomponents)?];
        let values = (&self.values, through);
        dispatches.extend(self.encoder.backward(self.recording(), gradients, values, dcomponents, Some(&dinput))?);
        Ok(dispatches)
    }

    fn sample(&self, at: At<'_>, z: &Tensor) -> Result<Dispatch, Error> {
        self.mixture.sample(at, z)
    }
}
