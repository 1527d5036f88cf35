//! Dense layers: `output = input * weight^T + bias` and its gradients. The twin of `shaders/nn/dense/`.

mod family;

pub use family::KernelFamily;

use super::{Epilogue, Extent, Init, Layer, ParameterSpec, Recording, Role};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Part, Source, TEXTURE_WIDTH, Tensor, source};
use crate::step::{At, Step};
use family::ProductSize;

/// A layer with a side of at most this many columns gets low tiles from [`KernelFamily::Lanes`].
const NARROW: usize = 64;
const LOW_TILE: Source = source!("nn/dense/lanes/low.wgsl");
const HIGH_TILE: Source = source!("nn/dense/lanes/high.wgsl");
const SUMS: Source = source!("nn/dense/lanes/sums.wgsl");
const TILES: Source = source!("nn/dense/tiles.wgsl");

/// A dense layer's name and sizes; its parameters are in an arena under `name.weight` and `name.bias`.
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
        let gpu = recording.at.gpu;
        let Product { entry, batch, row_ranges, columns, tensors } = *product;
        let (inputs, outputs, rows) = (self.inputs, self.outputs, row_ranges.iter().sum());
        let size = ProductSize { entry, inputs, outputs, batch, rows, columns, results: row_ranges.len() };
        let (family, choice) = KernelFamily::choose(gpu, size, tensors, |family| {
            // No step is running yet: a step with a whole batch is measured.
            let examples = (batch / recording.at.samples) as u32;
            let step = Step { examples, ..Step::default() }.upload(gpu)?;
            self.record(Recording { at: At { step: &step, ..recording.at }, ..recording }, product, epilogue, family)
        })?;
        Ok(self.record(recording, product, epilogue, family)?.chosen_by(choice))
    }

    /// Binds a product's tensors and its epilogue's to the kernel of a family.
    fn record(
        &self,
        recording: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
        family: KernelFamily,
    ) -> Result<Dispatch, Error> {
        let weight = recording.parameters.get(&self.weight());
        // The slot is filled even if the entry point does not use it; then none of its tensors are bound.
        let unused = Epilogue::store(&weight);
        let mut part = Part::new(product.source(family))
            .size("INPUTS", self.inputs)
            .size("OUTPUTS", self.outputs)
            .offer("ACCUMULATE", usize::from(recording.accumulate && product.entry != "forward"))
            .fill("epilogue", &epilogue.unwrap_or(&unused).part);
        for (name, tensor) in product.tensors {
            part = part.bind(name, tensor);
        }
        if family == KernelFamily::Lanes {
            let tile = if self.inputs.min(self.outputs) <= NARROW { LOW_TILE } else { HIGH_TILE };
            let input = product.tensors.iter().find(|(name, _)| *name == "input");
            part = part
                .fill("sums", &Part::new(SUMS).fill("tile", &Part::new(tile)))
                .size("TEXTURE_WIDTH", TEXTURE_WIDTH as usize)
                .size("WEIGHT_START", weight.texture_start())
                .size("INPUT_START", input.map_or(0, |(_, input)| input.texture_start()));
        }
        let launch = recording.launch(part, product.entry)?;
        let [tile_rows, tile_columns] = [launch.constant("TILE_ROWS")?, launch.constant("TILE_COLUMNS")?];
        let rows: usize = product.row_ranges.iter().map(|rows| rows.div_ceil(tile_rows)).sum();
        let columns = product.columns.div_ceil(tile_columns);
        launch.over_groups(match family {
            // Rows vary fastest, so that workgroups that run one after the other share the right operand.
            KernelFamily::Lanes => [rows, columns, 1],
            KernelFamily::Tiles | KernelFamily::Slices => [columns, rows, 1],
        })
    }

    fn check(&self, operation: &'static str, input: [usize; 2], output: [usize; 2]) -> Result<(), Error> {
        let rows = input[0];
        require_shapes(operation, [[rows, self.inputs], [rows, self.outputs]], [input, output])
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
    fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Dispatch, Error> {
        let parameters = recording.parameters;
        self.check("dense forward", input.shape(), [output.rows, output.columns])?;
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
    ) -> Result<Dispatch, Error> {
        let doutput_shape = doutput.shape();
        self.check("dense backward", input.shape(), doutput_shape)?;
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
}

/// The results of a kernel, for batches of up to `batch` rows: each has its own number of rows, and all have the same
/// columns.
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
            (KernelFamily::Tiles, "forward") => TILES,
            (KernelFamily::Tiles, _) => source!("nn/dense/tiles/backward.wgsl"),
            (KernelFamily::Slices, "forward") => source!("nn/dense/slices.wgsl"),
            (KernelFamily::Slices, _) => source!("nn/dense/slices/backward.wgsl"),
            (KernelFamily::Lanes, "forward") => source!("nn/dense/lanes.wgsl"),
            (KernelFamily::Lanes, _) => source!("nn/dense/lanes/backward.wgsl"),
        }
    }
}
