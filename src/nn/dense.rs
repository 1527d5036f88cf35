//! Dense layers: `output = input * weight^T + bias` and its gradients. The twin of `shaders/nn/dense/`.

use super::{Epilogue, Init, ParameterSpec};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, KernelFamily, Source, TEXTURE_WIDTH, Tensor, source};

/// The widest side of a layer whose products count as narrow.
const NARROW: usize = 64;

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

    /// Records the layer; what becomes of its output is up to the epilogue.
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
    /// [`Error::Shape`] if the tensors have other shapes.
    pub fn forward(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        parameters: &Arena,
        input: &Tensor,
        output: &Epilogue,
    ) -> Result<Dispatch, Error> {
        self.check("dense forward", [input.rows(), input.columns()], [output.rows, output.columns])?;
        let (weight, bias) = (parameters.get(&self.weight()), parameters.get(&self.bias()));
        let tensors = [("step", step), ("input", input), ("weight", &weight), ("bias", &bias)];
        let product = Product { entry: "forward", row_ranges: &[output.rows], columns: self.outputs };
        self.dispatch(gpu, product, &tensors, &weight, Some(output))
    }

    /// Records the gradients with respect to the weight and the bias, summed over the batch's rows, and that with respect
    /// to the input if there is an epilogue for it.
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
    /// [`Error::Shape`] if the tensors have other shapes.
    #[allow(clippy::too_many_arguments, reason = "each is a tensor of the formula or an arena that holds some")]
    pub fn backward(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        parameters: &Arena,
        gradients: &Arena,
        input: &Tensor,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Dispatch, Error> {
        let doutput_shape = [doutput.rows(), doutput.columns()];
        self.check("dense backward", [input.rows(), input.columns()], doutput_shape)?;
        let weight = parameters.get(&self.weight());
        let (dweight, dbias) = (gradients.get(&self.weight()), gradients.get(&self.bias()));
        let mut tensors =
            vec![("step", step), ("input", input), ("doutput", doutput), ("dweight", &dweight), ("dbias", &dbias)];
        let Some(dinput) = dinput else {
            let product = Product { entry: "backward_weight", row_ranges: &[self.outputs], columns: self.inputs };
            return self.dispatch(gpu, product, &tensors, &weight, None);
        };
        self.check("dense backward", [dinput.rows, dinput.columns], doutput_shape)?;
        tensors.push(("weight", &weight));
        let product = Product { entry: "backward", row_ranges: &[self.outputs, dinput.rows], columns: self.inputs };
        self.dispatch(gpu, product, &tensors, &weight, Some(dinput))
    }

    fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    /// Binds a product's tensors and its epilogue's to the kernel of a family.
    fn dispatch(
        &self,
        gpu: &Gpu,
        product: Product<'_>,
        tensors: &[(&'static str, &Tensor)],
        weight: &Tensor,
        epilogue: Option<&Epilogue>,
    ) -> Result<Dispatch, Error> {
        let mut family = gpu.kernel_family();
        if family == KernelFamily::Lanes && !tensors.iter().all(|(_, tensor)| tensor.fits_texture(gpu)) {
            family = KernelFamily::Tiles;
        }
        let mut overrides = vec![("INPUTS", self.inputs as f64), ("OUTPUTS", self.outputs as f64)];
        if family == KernelFamily::Lanes {
            overrides.push(("TEXTURE_WIDTH", f64::from(TEXTURE_WIDTH)));
            overrides.push(("WEIGHT_START", weight.texture_start() as f64));
        }
        let mut tensors = tensors.to_vec();
        // The slot is filled also where no entry point asks for it; then nothing of it is bound.
        let unused = Epilogue::store(weight);
        let Epilogue { source: part, overrides: more, .. } = epilogue.unwrap_or(&unused);
        overrides.extend(more);
        if let Some(Epilogue { tensors: bound, .. }) = epilogue {
            tensors.extend(bound.iter().map(|(name, tensor)| (*name, tensor)));
        }
        let mut source = product.source(family).with("epilogue", part.clone());
        if family == KernelFamily::Lanes {
            let narrow = self.inputs.min(self.outputs) <= NARROW;
            source = source.with(
                "tile",
                if narrow { source!("nn/dense/lanes/narrow.wgsl") } else { source!("nn/dense/lanes/wide.wgsl") },
            );
        }
        let kernel = gpu.kernel(&source, product.entry, &overrides)?;
        let shader = gpu.shader(&source)?;
        let [tile_rows, tile_columns] = [shader.constant("TILE_ROWS")?, shader.constant("TILE_COLUMNS")?];
        let rows: usize = product.row_ranges.iter().map(|rows| rows.div_ceil(tile_rows as usize)).sum();
        let columns = product.columns.div_ceil(tile_columns as usize);
        let [x, y, _] = kernel.workgroup_size();
        let threads = match family {
            // Rows vary fastest, so that workgroups that run one after the other share the right operand.
            KernelFamily::Lanes => [rows * x, columns, 1],
            KernelFamily::Tiles | KernelFamily::Slices => [columns * x, rows * y, 1],
        };
        Dispatch::new(gpu, &kernel, &tensors, threads)
    }

    fn check(&self, operation: &'static str, input: [usize; 2], output: [usize; 2]) -> Result<(), Error> {
        let rows = input[0];
        if (input, output) == ([rows, self.inputs], [rows, self.outputs]) {
            return Ok(());
        }
        Err(Error::Shape {
            operation,
            expected: format!("(B, {}) and (B, {})", self.inputs, self.outputs),
            found: format!("({}, {}) and ({}, {})", input[0], input[1], output[0], output[1]),
        })
    }
}

/// What a kernel makes: results of some numbers of rows, all with the same columns.
struct Product<'a> {
    entry: &'static str,
    row_ranges: &'a [usize],
    columns: usize,
}

impl Product<'_> {
    /// The table of kernels: all families have the same entry points.
    fn source(&self, family: KernelFamily) -> Source {
        match (family, self.entry) {
            (KernelFamily::Tiles, "forward") => source!("nn/dense/tiles.wgsl"),
            (KernelFamily::Tiles, _) => source!("nn/dense/tiles/backward.wgsl"),
            (KernelFamily::Slices, "forward") => source!("nn/dense/slices.wgsl"),
            (KernelFamily::Slices, _) => source!("nn/dense/slices/backward.wgsl"),
            (KernelFamily::Lanes, "forward") => source!("nn/dense/lanes.wgsl"),
            (KernelFamily::Lanes, _) => source!("nn/dense/lanes/backward.wgsl"),
        }
    }
}
