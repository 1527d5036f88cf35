//! Dense layers: `output = input * weight^T + bias` and its gradients.

use super::{Product, ProductSize, ROWS};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Part, Tensor};
use crate::graph::{Graph, Value};
use crate::nn::exact::{Exact, ExactDense, HostParameters};
use crate::nn::product::check;
use crate::nn::{Epilogue, Extent, Init, Layer, ParameterSpec, Recording, Role};

/// A dense layer's name and sizes; its parameters are in an arena under `name.weight` and `name.bias`.
#[derive(Clone, Debug)]
pub struct Dense {
    name: String,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Dense {
    /// Describes a layer of `inputs` by `outputs`.
    pub fn new(name: impl Into<String>, inputs: usize, outputs: usize) -> Dense {
        Dense { name: name.into(), inputs, outputs }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its weight.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// The name of its bias.
    pub fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    /// Records the gradient with respect to the input alone, which the epilogue gets: `dinput[b, i] = sum_o doutput[b, o] * weight[o, i]`.
    ///
    /// # Shapes
    ///
    /// - `doutput`: `(B, outputs)`
    /// - the epilogue's result: `(B, inputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    pub fn input_gradient(
        &self,
        recording: Recording<'_>,
        doutput: &Tensor,
        dinput: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        check(self, "dense input gradient", [dinput.rows, dinput.columns], doutput.shape())?;
        let weight = recording.parameters.get(&self.weight());
        let none = Tensor::zeros(recording.at.gpu, 1, self.inputs)?;
        let product = Product {
            size: self.size("transposed", doutput.rows()),
            examples: doutput.rows() / recording.at.samples,
            rows: self.rows(),
            weight: &weight,
            tensors: vec![("doutput", doutput), ("weight", &weight), ("bias", &none)],
            accumulate: false,
        };
        product.dispatch(recording, Some(dinput))
    }

    fn size(&self, entry: &'static str, batch: usize) -> ProductSize {
        ProductSize { layer: "", entry, inputs: self.inputs, outputs: self.outputs, batch }
    }

    fn rows(&self) -> Part {
        Part::new(ROWS).size("INPUTS", self.inputs).size("OUTPUTS", self.outputs)
    }
}

impl Layer for Dense {
    fn input(&self) -> Extent {
        Extent::vector(self.inputs)
    }

    fn output(&self) -> Extent {
        Extent::vector(self.outputs)
    }

    /// `weight` `(outputs, inputs)` and `bias` `(outputs)`, both uniform within `1 / sqrt(inputs)`, as `torch.nn.Linear`
    /// starts them.
    fn parameters(&self) -> Vec<ParameterSpec> {
        let init = Init::Uniform { bound: 1.0 / (self.inputs as f32).sqrt() };
        vec![
            ParameterSpec { name: self.weight(), shape: vec![self.outputs, self.inputs], role: Role::Weight, init },
            ParameterSpec { name: self.bias(), shape: vec![self.outputs], role: Role::Bias, init },
        ]
    }

    fn flops(&self) -> f64 {
        2.0 * (self.inputs * self.outputs) as f64
    }

    fn exact(&self, parameters: &HostParameters) -> Box<dyn Exact> {
        Box::new(ExactDense::new(parameters.get(&self.weight()), parameters.get(&self.bias())))
    }

    fn describe(&self, graph: &mut Graph, input: Value) -> Value {
        graph.dense(&self.name, input, self.outputs)
    }

    /// Records the layer. The epilogue decides what happens to the output.
    ///
    /// `output[b, o] = bias[o] + sum_i input[b, i] * weight[o, i]`
    ///
    /// # Shapes
    ///
    /// - `input`: `(B, inputs)`
    /// - the epilogue's result: `(B, outputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Vec<Dispatch>, Error> {
        let parameters = recording.parameters;
        check(self, "dense forward", input.shape(), [output.rows, output.columns])?;
        let (weight, bias) = (parameters.get(&self.weight()), parameters.get(&self.bias()));
        let product = Product {
            size: self.size("forward", output.rows),
            examples: output.rows / recording.at.samples,
            rows: self.rows(),
            weight: &weight,
            tensors: vec![("input", input), ("weight", &weight), ("bias", &bias)],
            accumulate: false,
        };
        product.dispatch(recording, Some(output))
    }

    /// Records the gradients with respect to the weight and the bias, summed over the batch's rows, and the gradient
    /// with respect to the input if there is an epilogue for it. The first two are added to the stored ones if
    /// `recording.accumulate` is set.
    ///
    /// `dweight[o, i] = sum_b doutput[b, o] * input[b, i]`, `dbias[o] = sum_b doutput[b, o]`,
    /// `dinput[b, i] = sum_o doutput[b, o] * weight[o, i]`
    ///
    /// # Shapes
    ///
    /// - `input`: `(B, inputs)`
    /// - `doutput`: `(B, outputs)`
    /// - the epilogue's result: `(B, inputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    fn backward(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        input: &Tensor,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error> {
        let doutput_shape = doutput.shape();
        check(self, "dense backward", input.shape(), doutput_shape)?;
        let weight = recording.parameters.get(&self.weight());
        let (dweight, dbias) = (gradients.get(&self.weight()), gradients.get(&self.bias()));
        let mut tensors = vec![("input", input), ("doutput", doutput), ("dweight", &dweight), ("dbias", &dbias)];
        let mut entry = "backward_weight";
        if let Some(dinput) = dinput {
            check(self, "dense backward", [dinput.rows, dinput.columns], doutput_shape)?;
            tensors.push(("weight", &weight));
            entry = "backward";
        }
        let (size, rows) = (self.size(entry, input.rows()), self.rows());
        let (examples, accumulate) = (input.rows() / recording.at.samples, recording.accumulate);
        let product = Product { size, examples, rows, weight: &weight, tensors, accumulate };
        product.dispatch(recording, dinput)
    }
}
