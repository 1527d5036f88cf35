//! Multi-layer perceptrons: dense layers with an activation between them, the last one linear.

use super::{Activation, Dense, ParameterSpec};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};

/// A stack of hidden layers and a linear output layer.
#[derive(Clone, Debug)]
pub struct Mlp {
    hidden: Vec<Dense>,
    output: Dense,
    activation: Activation,
}

/// A hidden layer's values and gradient for one batch.
struct Hidden {
    pre: Tensor,
    output: Tensor,
    gradient: Tensor,
}

/// The values inside an [`Mlp`] for one batch: what the forward pass leaves for the backward pass.
pub struct MlpActivations {
    input: Tensor,
    hidden: Vec<Hidden>,
    /// What the last layer puts out, `(B, outputs)`.
    pub output: Tensor,
    /// The gradient with respect to it, `(B, outputs)`.
    pub doutput: Tensor,
}

impl Mlp {
    /// Describes an MLP from `inputs` over `hidden` widths to `outputs`.
    ///
    /// The hidden layers are called `name.0`, `name.1`, and so on; the last one has a name of its own.
    pub fn new(
        name: &str,
        inputs: usize,
        hidden: &[usize],
        activation: Activation,
        output_name: &str,
        outputs: usize,
    ) -> Mlp {
        let mut width = inputs;
        let mut layers = Vec::new();
        for (index, &next) in hidden.iter().enumerate() {
            layers.push(Dense::new(format!("{name}.{index}"), width, next));
            width = next;
        }
        Mlp { hidden: layers, output: Dense::new(output_name, width, outputs), activation }
    }

    /// The parameters of all layers, first to last.
    pub fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        self.hidden.iter().chain([&self.output]).flat_map(Dense::parameters)
    }

    /// Makes the tensors for batches of up to `input.rows()` rows.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn activations(&self, gpu: &Gpu, input: &Tensor) -> Result<MlpActivations, Error> {
        let batch = input.rows();
        let mut hidden = Vec::new();
        for layer in &self.hidden {
            let width = layer.outputs();
            hidden.push(Hidden {
                pre: Tensor::zeros(gpu, batch, width)?,
                output: Tensor::zeros(gpu, batch, width)?,
                gradient: Tensor::zeros(gpu, batch, width)?,
            });
        }
        let outputs = self.output.outputs();
        Ok(MlpActivations {
            input: input.clone(),
            hidden,
            output: Tensor::zeros(gpu, batch, outputs)?,
            doutput: Tensor::zeros(gpu, batch, outputs)?,
        })
    }

    /// Records all layers, from the input to `values.output`.
    ///
    /// # Errors
    ///
    /// As [`Dense::forward`].
    pub fn forward(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        parameters: &Arena,
        values: &MlpActivations,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        let mut input = &values.input;
        for (layer, hidden) in self.hidden.iter().zip(&values.hidden) {
            dispatches.push(layer.forward(gpu, step, parameters, input, &hidden.pre)?);
            dispatches.push(self.activation.forward(gpu, step, &hidden.pre, &hidden.output)?);
            input = &hidden.output;
        }
        dispatches.push(self.output.forward(gpu, step, parameters, input, &values.output)?);
        Ok(dispatches)
    }

    /// Records the gradients of all parameters from `values.doutput`, and that of the input if `dinput` is given.
    ///
    /// # Errors
    ///
    /// As [`Dense::backward_input`] and [`Dense::backward_weight`].
    pub fn backward(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        parameters: &Arena,
        gradients: &Arena,
        values: &MlpActivations,
        dinput: Option<&Tensor>,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        let mut layer = &self.output;
        let mut doutput = &values.doutput;
        for (below, hidden) in self.hidden.iter().zip(&values.hidden).rev() {
            dispatches.push(layer.backward_weight(gpu, step, gradients, &hidden.output, doutput)?);
            dispatches.push(layer.backward_input(gpu, step, parameters, doutput, &hidden.gradient)?);
            dispatches.push(self.activation.backward(gpu, step, &hidden.pre, &hidden.gradient)?);
            layer = below;
            doutput = &hidden.gradient;
        }
        dispatches.push(layer.backward_weight(gpu, step, gradients, &values.input, doutput)?);
        if let Some(dinput) = dinput {
            dispatches.push(layer.backward_input(gpu, step, parameters, doutput, dinput)?);
        }
        Ok(dispatches)
    }
}
