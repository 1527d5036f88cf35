//! Multi-layer perceptrons: dense layers with an activation between them, the last one linear.

use super::{Activation, Dense, Epilogue, Normalisation, Normalise, Normalised, ParameterSpec, Recording};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};

/// A stack of hidden layers and a linear output layer.
#[derive(Clone, Debug)]
pub struct Mlp {
    hidden: Vec<HiddenLayer>,
    output: Dense,
    activation: Activation,
}

/// A hidden layer: its product, and what normalises that before the activation.
#[derive(Clone, Debug)]
struct HiddenLayer {
    product: Dense,
    normalisation: Option<Normalisation>,
}

/// A hidden layer's values for one batch, the activation's derivative, the gradient before the activation, and what the
/// normalisation keeps.
struct Hidden {
    output: Tensor,
    slope: Tensor,
    gradient: Tensor,
    normalised: Option<Normalised>,
}

/// The values inside an [`Mlp`] for one batch: what the forward pass leaves for the backward pass.
pub struct MlpActivations {
    input: Tensor,
    hidden: Vec<Hidden>,
}

impl HiddenLayer {
    fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        self.product.parameters().into_iter().chain(self.normalisation.as_ref().map(Normalisation::parameters))
    }

    fn forward(
        &self,
        recording: Recording<'_>,
        input: &Tensor,
        values: &Hidden,
        activation: Activation,
    ) -> Result<Vec<Dispatch>, Error> {
        let activated = activation.forward(recording.gpu, &values.output, &values.slope)?;
        match (&self.normalisation, &values.normalised) {
            (Some(normalisation), Some(normalised)) => Ok(vec![
                self.product.forward(recording, input, &Epilogue::store(&normalised.pre))?,
                normalisation.forward(recording, normalised, &activated)?,
            ]),
            _ => Ok(vec![self.product.forward(recording, input, &activated)?]),
        }
    }

    /// What follows when the gradient has come through the activation.
    fn backward_normalisation(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        values: &Hidden,
    ) -> Result<Vec<Dispatch>, Error> {
        match (&self.normalisation, &values.normalised) {
            (Some(normalisation), Some(normalised)) => {
                normalisation.backward(recording, gradients, normalised, &values.gradient)
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Mlp {
    /// Describes an MLP from `inputs` over `hidden` widths to `outputs`.
    ///
    /// The hidden layers are called `name.0`, `name.1`, and so on; the last one has a name of its own. What is normalised is
    /// each hidden layer's product, before the activation.
    pub fn new(
        name: &str,
        inputs: usize,
        hidden: &[usize],
        activation: Activation,
        normalise: Normalise,
        output_name: &str,
        outputs: usize,
    ) -> Mlp {
        let mut width = inputs;
        let mut layers = Vec::new();
        for (index, &next) in hidden.iter().enumerate() {
            let (name, columns) = (format!("{name}.{index}"), next * activation.inputs());
            let normalisation = normalise.of_layer(&name, columns);
            layers.push(HiddenLayer { product: Dense::new(name, width, columns), normalisation });
            width = next;
        }
        Mlp { hidden: layers, output: Dense::new(output_name, width, outputs), activation }
    }

    /// Columns of what the last layer puts out.
    pub fn outputs(&self) -> usize {
        self.output.outputs()
    }

    /// The parameters of all layers, first to last.
    pub fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        self.hidden.iter().flat_map(HiddenLayer::parameters).chain(self.output.parameters())
    }

    /// The number of weights of each layer, first to last.
    pub fn weights(&self) -> Vec<usize> {
        let products = self.hidden.iter().map(|layer| &layer.product).chain([&self.output]);
        products.map(|product| product.inputs() * product.outputs()).collect()
    }

    /// Makes the tensors for batches of up to `input.rows()` rows.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn activations(&self, gpu: &Gpu, input: &Tensor) -> Result<MlpActivations, Error> {
        let mut hidden = Vec::new();
        for HiddenLayer { product, normalisation } in &self.hidden {
            let (rows, columns) = (input.rows(), product.outputs());
            hidden.push(Hidden {
                output: Tensor::zeros(gpu, rows, columns / self.activation.inputs())?,
                slope: Tensor::zeros(gpu, rows, columns)?,
                gradient: Tensor::zeros(gpu, rows, columns)?,
                normalised: normalisation.as_ref().map(|norm| norm.normalised(gpu, rows)).transpose()?,
            });
        }
        Ok(MlpActivations { input: input.clone(), hidden })
    }

    /// Records all layers; what becomes of the last one's output is up to `output`.
    ///
    /// # Errors
    ///
    /// As [`Dense::forward`] and [`Normalisation::forward`].
    pub fn forward(
        &self,
        recording: Recording<'_>,
        values: &MlpActivations,
        output: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        let mut input = &values.input;
        for (layer, hidden) in self.hidden.iter().zip(&values.hidden) {
            dispatches.extend(layer.forward(recording, input, hidden, self.activation)?);
            input = &hidden.output;
        }
        dispatches.push(self.output.forward(recording, input, output)?);
        Ok(dispatches)
    }

    /// Records the gradients of all parameters from `doutput`, `(B, outputs)`, and hands that of the input to `dinput`.
    ///
    /// # Errors
    ///
    /// As [`Dense::backward`] and [`Normalisation::backward`].
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
        for (below, hidden) in self.hidden.iter().zip(&values.hidden).rev() {
            let through = self.activation.backward(&hidden.slope, &hidden.gradient)?;
            dispatches.push(layer.backward(recording, gradients, &hidden.output, doutput, Some(&through))?);
            dispatches.extend(below.backward_normalisation(recording, gradients, hidden)?);
            layer = &below.product;
            doutput = &hidden.gradient;
        }
        dispatches.push(layer.backward(recording, gradients, &values.input, doutput, dinput)?);
        Ok(dispatches)
    }
}
