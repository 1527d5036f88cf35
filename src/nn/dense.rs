//! Dense layers: `output = input * weight^T + bias` and its gradients. The twin of `shaders/nn/dense.wgsl`.

mod lanes;

use super::{Init, ParameterSpec};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, KernelFamily, Tensor, source};

const SOURCE: (&str, &str) = source!("nn/dense.wgsl");

/// A dense layer's name and sizes; its parameters live in an arena under `name.weight` and `name.bias`.
#[derive(Clone, Debug)]
pub struct Dense {
    name: String,
    inputs: usize,
    outputs: usize,
}

impl Dense {
    /// Describes a layer of `inputs` by `outputs`.
    pub fn new(name: impl Into<String>, inputs: usize, outputs: usize) -> Dense {
        Dense { name: name.into(), inputs, outputs }
    }

    /// Columns of the input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The parameters: `weight` `(outputs, inputs)` and `bias` `(outputs)`, both uniform within
    /// `1 / sqrt(inputs)`, as `torch.nn.Linear` starts them.
    pub fn parameters(&self) -> [ParameterSpec; 2] {
        let init = Init::Uniform { bound: 1.0 / (self.inputs as f32).sqrt() };
        [
            ParameterSpec { name: self.weight(), rows: Some(self.outputs), columns: self.inputs, init },
            ParameterSpec { name: self.bias(), rows: None, columns: self.outputs, init },
        ]
    }

    /// Records the layer.
    ///
    /// `output[b, o] = bias[o] + sum_i input[b, i] * weight[o, i]`
    ///
    /// # Shapes
    ///
    /// - `input`: `(B, inputs)`
    /// - `output`: `(B, outputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors have other shapes.
    pub fn forward(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        parameters: &Arena,
        input: &Tensor,
        output: &Tensor,
    ) -> Result<Dispatch, Error> {
        self.check("dense forward", input, output)?;
        let (weight, bias) = (parameters.get(&self.weight()), parameters.get(&self.bias()));
        let tensors = [("step", step), ("input", input), ("weight", &weight), ("bias", &bias), ("output", output)];
        self.dispatch(gpu, "forward", &tensors, [output.rows(), self.outputs])
    }

    /// Records the gradient with respect to the input.
    ///
    /// `dinput[b, i] = sum_o doutput[b, o] * weight[o, i]`
    ///
    /// # Shapes
    ///
    /// - `doutput`: `(B, outputs)`
    /// - `dinput`: `(B, inputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors have other shapes.
    pub fn backward_input(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        parameters: &Arena,
        doutput: &Tensor,
        dinput: &Tensor,
    ) -> Result<Dispatch, Error> {
        self.check("dense backward_input", dinput, doutput)?;
        let weight = parameters.get(&self.weight());
        let tensors = [("step", step), ("weight", &weight), ("doutput", doutput), ("dinput", dinput)];
        self.dispatch(gpu, "backward_input", &tensors, [dinput.rows(), self.inputs])
    }

    /// Records the gradients with respect to the weight and the bias, summed over the batch's rows.
    ///
    /// `dweight[o, i] = sum_b doutput[b, o] * input[b, i]`, `dbias[o] = sum_b doutput[b, o]`
    ///
    /// # Shapes
    ///
    /// - `input`: `(B, inputs)`
    /// - `doutput`: `(B, outputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors have other shapes.
    pub fn backward_weight(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        gradients: &Arena,
        input: &Tensor,
        doutput: &Tensor,
    ) -> Result<Dispatch, Error> {
        self.check("dense backward_weight", input, doutput)?;
        let (dweight, dbias) = (gradients.get(&self.weight()), gradients.get(&self.bias()));
        let tensors =
            [("step", step), ("input", input), ("doutput", doutput), ("dweight", &dweight), ("dbias", &dbias)];
        self.dispatch(gpu, "backward_weight", &tensors, [self.outputs, self.inputs])
    }

    fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    /// Binds a product's tensors to the kernel of the adapter's family, for a result of `rows` by `columns`.
    fn dispatch(
        &self,
        gpu: &Gpu,
        entry: &str,
        tensors: &[(&str, &Tensor)],
        [rows, columns]: [usize; 2],
    ) -> Result<Dispatch, Error> {
        let sizes = [("INPUTS", self.inputs as f64), ("OUTPUTS", self.outputs as f64)];
        if gpu.kernel_family() == KernelFamily::Lanes && tensors.iter().all(|(_, tensor)| tensor.fits_texture(gpu)) {
            return lanes::dispatch(gpu, entry, &sizes, tensors, [rows, columns]);
        }
        let shader = gpu.shader(SOURCE)?;
        let [tile_rows, tile_columns] = [shader.constant("TILE_ROWS")?, shader.constant("TILE_COLUMNS")?];
        let threads = [columns.div_ceil(tile_columns as usize), rows.div_ceil(tile_rows as usize), 1];
        Dispatch::new(gpu, &gpu.kernel(SOURCE, entry, &sizes)?, tensors, threads)
    }

    fn check(&self, operation: &'static str, input: &Tensor, output: &Tensor) -> Result<(), Error> {
        let fits = input.columns() == self.inputs && output.columns() == self.outputs && input.rows() == output.rows();
        if fits {
            return Ok(());
        }
        Err(Error::Shape {
            operation,
            expected: format!("(B, {}) and (B, {})", self.inputs, self.outputs),
            found: format!("({}, {}) and ({}, {})", input.rows(), input.columns(), output.rows(), output.columns()),
        })
    }
}
