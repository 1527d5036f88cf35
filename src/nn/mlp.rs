//! Multi-layer perceptrons: dense layers with an activation between them, the last one linear.

use super::{Activation, Dense, Epilogue, ParameterSpec, Recording};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};

/// A stack of hidden layers and a linear output layer.
#[derive(Clone, Debug)]
pub struct Mlp {
    hidden: Vec<Dense>,
    output: Dense,
    activation: Activation,
}

/// A hidden layer's values for one batch, the activation's derivative, and the gradient before the activation.
struct Hidden {
    output: Tensor,
    slope: Tensor,
    gradient: Tensor,
}

/// The values inside an [`Mlp`] for one batch: what the forward pass leaves for the backward pass.
pub struct MlpActivations {
    input: Tensor,
    hidden: Vec<Hidden>,
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
        let mut hidden = Vec::new();
        for layer in &self.hidden {
            let [output, slope, gradient] = [(); 3].map(|()| Tensor::zeros(gpu, input.rows(), layer.outputs()));
            hidden.push(Hidden { output: output?, slope: slope?, gradient: gradient? });
        }
        Ok(MlpActivations { input: input.clone(), hidden })
    }

    /// Records all layers; what becomes of the last one's output is up to `output`.
    ///
    /// # Errors
    ///
    /// As [`Dense::forward`].
    pub fn forward(
        &self,
        recording: Recording<'_>,
        values: &MlpActivations,
        output: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        let mut input = &values.input;
        for (layer, hidden) in self.hidden.iter().zip(&values.hidden) {
            let activated = self.activation.forward(recording.gpu, &hidden.output, &hidden.slope)?;
            dispatches.push(layer.forward(recording, input, &activated)?);
            input = &hidden.output;
        }
        dispatches.push(self.output.forward(recording, input, output)?);
        Ok(dispatches)
    }

    /// Records the gradients of all parameters from `doutput`, `(B, outputs)`, and hands that of the input to `dinput`.
    ///
    /// # Errors
    ///
    /// As [`Dense::backward`].
    pub fn backward(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        values: &MlpActivations,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        let mut layer = &self.output;
        let mut doutput = doutput;
        for (below, Hidden { output, slope, gradient }) in self.hidden.iter().zip(&values.hidden).rev() {
            let through = Activation::backward(slope, gradient)?;
            dispatches.push(layer.backward(recording, gradients, output, doutput, Some(&through))?);
            layer = below;
            doutput = gradient;
        }
        dispatches.push(layer.backward(recording, gradients, &values.input, doutput, dinput)?);
        Ok(dispatches)
    }
}
