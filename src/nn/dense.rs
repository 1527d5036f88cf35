//! Dense layers: `output = input * weight^T + bias` and its gradients. The twin of `shaders/nn/dense/`.

use super::{Epilogue, Init, ParameterSpec, Recording};
use crate::Error;
use crate::gpu::{self, Arena, Dispatch, KernelFamily, Source, TEXTURE_WIDTH, Tensor, source};
use crate::steps::Step;

/// A layer with a side of at most this many columns gets low tiles from [`KernelFamily::Lanes`].
const NARROW: usize = 64;
const LOW_TILE: Source = source!("nn/dense/lanes/low.wgsl");
const HIGH_TILE: Source = source!("nn/dense/lanes/high.wgsl");
const SUMS: Source = source!("nn/dense/lanes/sums.wgsl");

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
    pub fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Dispatch, Error> {
        let parameters = recording.parameters;
        self.check("dense forward", [input.rows(), input.columns()], [output.rows, output.columns])?;
        let (weight, bias) = (parameters.get(&self.weight()), parameters.get(&self.bias()));
        let product = Product {
            entry: "forward",
            batch: output.rows,
            row_ranges: &[output.rows],
            columns: self.outputs,
            tensors: &[("input", input), ("weight", &weight), ("bias", &bias)],
        };
        self.dispatch(recording, &product, Some(output))
    }

    /// Records the gradients with respect to the weight and the bias, summed over the batch's rows, and that with respect
    /// to the input if there is an epilogue for it. The first two are added to what is there if the recording says so.
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
    pub fn backward(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        input: &Tensor,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Dispatch, Error> {
        let doutput_shape = [doutput.rows(), doutput.columns()];
        self.check("dense backward", [input.rows(), input.columns()], doutput_shape)?;
        let weight = recording.parameters.get(&self.weight());
        let (dweight, dbias) = (gradients.get(&self.weight()), gradients.get(&self.bias()));
        let mut tensors = vec![("input", input), ("doutput", doutput), ("dweight", &dweight), ("dbias", &dbias)];
        let (mut entry, mut row_ranges) = ("backward_weight", vec![self.outputs]);
        if let Some(dinput) = dinput {
            self.check("dense backward", [dinput.rows, dinput.columns], doutput_shape)?;
            tensors.push(("weight", &weight));
            entry = "backward";
            row_ranges.push(dinput.rows);
        }
        let (batch, columns) = (input.rows(), self.inputs);
        let product = Product { entry, batch, row_ranges: &row_ranges, columns, tensors: &tensors };
        self.dispatch(recording, &product, dinput)
    }

    fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    /// Records a product with the kernel of the family that was chosen for it.
    fn dispatch(
        &self,
        recording: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
    ) -> Result<Dispatch, Error> {
        let gpu = recording.gpu;
        let Product { entry, batch, row_ranges, columns, tensors } = *product;
        let name = format!("{entry} {} to {}, {batch} rows", self.inputs, self.outputs);
        // Each result has a product of two sides by the third one as its sum.
        let flops = 2.0 * row_ranges.len() as f64 * batch as f64 * self.inputs as f64 * self.outputs as f64;
        let shape = gpu::Product { name: &name, rows: row_ranges.iter().sum(), columns, flops };
        let textures = tensors.iter().all(|(_, tensor)| tensor.fits_texture(gpu));
        let mut families = gpu.kernel_families().to_vec();
        families.retain(|family| textures || *family != KernelFamily::Lanes);
        if families.is_empty() {
            families.push(KernelFamily::Tiles);
        }
        let family = gpu.choose_family(shape, &families, |family| {
            // Nothing is under way yet: what is measured is a step with a whole batch.
            let step = Step::tensor(gpu)?;
            let rows = (batch / recording.samples) as u32;
            step.write(gpu, bytemuck::cast_slice::<Step, u32>(&[Step { rows, ..Step::default() }]))?;
            self.record(Recording { step: &step, ..recording }, product, epilogue, family)
        });
        self.record(recording, product, epilogue, family)
    }

    /// Binds a product's tensors and its epilogue's to the kernel of a family.
    fn record(
        &self,
        Recording { gpu, step, parameters, samples, accumulate, .. }: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
        family: KernelFamily,
    ) -> Result<Dispatch, Error> {
        let weight = parameters.get(&self.weight());
        // The slot is filled also where no entry point asks for it; then nothing of it is bound.
        let unused = Epilogue::store(&weight);
        let Epilogue { source: part, overrides: more, .. } = epilogue.unwrap_or(&unused);
        let mut source = product.source(family).with("epilogue", part.clone());
        let mut overrides = vec![("INPUTS", self.inputs as f64), ("OUTPUTS", self.outputs as f64)];
        overrides.push(("SAMPLES", samples as f64));
        overrides.extend(more);
        if accumulate && product.entry != "forward" {
            overrides.push(("ACCUMULATE", 1.0));
        }
        if family == KernelFamily::Lanes {
            let tile = if self.inputs.min(self.outputs) <= NARROW { LOW_TILE } else { HIGH_TILE };
            source = source.with("sums", SUMS.with("tile", tile));
            overrides.push(("TEXTURE_WIDTH", f64::from(TEXTURE_WIDTH)));
            overrides.push(("WEIGHT_START", weight.texture_start() as f64));
            let input = product.tensors.iter().find(|(name, _)| *name == "input");
            overrides.push(("INPUT_START", input.map_or(0, |(_, input)| input.texture_start()) as f64));
        }
        let mut tensors = vec![("step", step)];
        tensors.extend(product.tensors);
        if let Some(Epilogue { tensors: bound, .. }) = epilogue {
            tensors.extend(bound.iter().map(|(name, tensor)| (*name, tensor)));
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

/// What a kernel makes, for batches of up to `batch` rows: results of some numbers of rows, all with the same columns.
struct Product<'a> {
    entry: &'static str,
    batch: usize,
    row_ranges: &'a [usize],
    columns: usize,
    tensors: &'a [(&'static str, &'a Tensor)],
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
