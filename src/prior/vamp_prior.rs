//! The encoder over pseudo-inputs, whose posteriors are the components of a VampPrior.

use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{Epilogue, Mlp, MlpActivations, Mode, Recording};
use crate::steps::Step;

/// The name of the parameter.
pub(super) const PSEUDO_INPUTS: &str = "prior.pseudo_inputs";

/// The encoder over `M` pseudo-inputs `(M, D)`, with activations of its own.
///
/// # Source
///
/// Tomczak & Welling 2018, "VAE with a VampPrior".
pub(super) struct PseudoInputs {
    encoder: Mlp,
    values: MlpActivations,
    /// A step that never changes, of as many rows as there are pseudo-inputs.
    step: Tensor,
    /// What the encoder makes of them, `(M, 2L)`.
    pub components: Tensor,
    /// The gradient by that.
    pub dcomponents: Tensor,
}

impl PseudoInputs {
    /// Makes the tensors.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(gpu: &Gpu, parameters: &Arena, encoder: &Mlp) -> Result<PseudoInputs, Error> {
        let inputs = parameters.get(PSEUDO_INPUTS);
        let step = Step::tensor(gpu)?;
        let row = Step { rows: inputs.rows() as u32, ..Step::default() };
        step.write(gpu, bytemuck::cast_slice::<Step, u32>(&[row]))?;
        Ok(PseudoInputs {
            values: encoder.activations(gpu, &inputs)?,
            encoder: encoder.clone(),
            step,
            components: Tensor::zeros(gpu, inputs.rows(), encoder.outputs())?,
            dcomponents: Tensor::zeros(gpu, inputs.rows(), encoder.outputs())?,
        })
    }

    /// Records the encoder, from the pseudo-inputs to the components.
    ///
    /// # Errors
    ///
    /// As [`Mlp::forward`].
    pub fn encode(&self, gpu: &Gpu, parameters: &Arena) -> Result<Vec<Dispatch>, Error> {
        let recording = self.recording(gpu, parameters);
        self.encoder.forward(recording, &self.values, &Epilogue::store(&self.components))
    }

    /// Records the gradients from `dcomponents` on: the encoder's are added to those of the batch, which must be there.
    ///
    /// # Errors
    ///
    /// As [`Mlp::backward`].
    pub fn backward(&self, gpu: &Gpu, parameters: &Arena, gradients: &Arena) -> Result<Vec<Dispatch>, Error> {
        let dinput = Epilogue::store(&gradients.get(PSEUDO_INPUTS));
        let recording = self.recording(gpu, parameters);
        self.encoder.backward(recording, gradients, &self.values, &self.dcomponents, Some(&dinput))
    }

    fn recording<'a>(&'a self, gpu: &'a Gpu, parameters: &'a Arena) -> Recording<'a> {
        Recording { gpu, step: &self.step, parameters, samples: 1, mode: Mode::Training, accumulate: true }
    }
}
