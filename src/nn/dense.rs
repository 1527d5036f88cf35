//! Dense layers: `output = input * weight^T + bias` and its gradients. The twin of `shaders/nn/dense/`.

mod choice;
pub mod cost;
mod variant;
mod workgroup;

pub use variant::{ProductSize, Variant};
pub use workgroup::{WeightGradient, weight_gradients};

use super::{Epilogue, Extent, Init, Layer, ParameterSpec, Recording, Role};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Part, Source, TEXTURE_WIDTH, Tensor, source};
use crate::step::{At, Step};
use variant::Family;

const TEXTURES: Source = source!("nn/dense/lanes/textures.wgsl");
const BUFFERS: Source = source!("nn/dense/lanes/buffers.wgsl");
const PARTIAL: Source = source!("nn/dense/partial.wgsl");

/// A dense layer's name and sizes; its parameters are in an arena under `name.weight` and `name.bias`.
#[derive(Clone, Debug)]
pub struct Dense {
    name: String,
    inputs: usize,
    outputs: usize,
}

/// The product of a kernel, for batches of up to `batch` rows, with the tensors that it binds.
#[derive(Clone)]
struct Product<'a> {
    entry: &'static str,
    batch: usize,
    tensors: Vec<(&'static str, &'a Tensor)>,
    /// Whether the gradients of weight and bias are added to the stored ones.
    accumulate: bool,
}

impl Dense {
    /// Describes a layer of `inputs` by `outputs`.
    pub fn new(name: impl Into<String>, inputs: usize, outputs: usize) -> Dense {
        Dense { name: name.into(), inputs, outputs }
    }

    /// The name of its weight.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// The name of its bias.
    pub fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    fn size(&self, product: &Product<'_>) -> ProductSize {
        ProductSize { entry: product.entry, inputs: self.inputs, outputs: self.outputs, batch: product.batch }
    }

    /// Records a product with the variant that was chosen for it.
    fn dispatch(
        &self,
        recording: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error> {
        let gpu = recording.at.gpu;
        let (variant, choice) = choice::choose(gpu, self.size(product), &product.tensors, |variant| {
            // No step is running yet: a step with a whole batch is measured.
            let examples = (product.batch / recording.at.samples) as u32;
            let step = Step { examples, ..Step::default() }.upload(gpu)?;
            let recording = Recording { at: At { step: &step, ..recording.at }, ..recording };
            self.record(recording, product, epilogue, variant)
        });
        let dispatches = self.record(recording, product, epilogue, variant)?;
        Ok(dispatches.into_iter().map(|dispatch| dispatch.chosen_by(&choice)).collect())
    }

    /// Records a product with the kernels of a variant.
    fn record(
        &self,
        recording: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
        variant: &Variant,
    ) -> Result<Vec<Dispatch>, Error> {
        if variant.passes() > 1 {
            return self.record_passes(recording, product, epilogue, variant);
        }
        Ok(vec![self.record_pass(recording, product, epilogue, variant)?])
    }

    /// Records the products of slices, which store their sums, and the kernels that add them.
    fn record_passes(
        &self,
        recording: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
        variant: &Variant,
    ) -> Result<Vec<Dispatch>, Error> {
        let (gpu, slices) = (recording.at.gpu, variant.passes());
        let partial = |rows, columns| Tensor::zeros(gpu, slices * rows, columns);
        let (sums, store);
        let mut second = Vec::new();
        let mut first = Product { accumulate: false, ..product.clone() };
        let (dweight, dbias);
        if product.entry != "forward" {
            (dweight, dbias) = (partial(self.outputs, self.inputs)?, partial(1, self.outputs)?);
            let entry = "backward_weight";
            let sums = [("partial_sums", &dweight), ("partial_bias", &dbias)];
            second.push(self.record_sums(recording, Product { entry, ..product.clone() }, &sums, None, slices)?);
            first.replace([("dweight", &dweight), ("dbias", &dbias)]);
        }
        let epilogue_of_first = match epilogue {
            None => None,
            Some(epilogue) => {
                sums = partial(product.batch, epilogue.columns)?;
                store = Epilogue::store(&sums);
                let sums = [("partial_sums", &sums)];
                second.push(self.record_sums(recording, product.clone(), &sums, Some(epilogue), slices)?);
                Some(&store)
            }
        };
        let mut dispatches = vec![self.record_pass(recording, &first, epilogue_of_first, variant)?];
        dispatches.extend(second);
        Ok(dispatches)
    }

    /// Records the kernel that adds the sums of slices.
    fn record_sums(
        &self,
        recording: Recording<'_>,
        product: Product<'_>,
        sums: &[(&'static str, &Tensor)],
        epilogue: Option<&Epilogue>,
        slices: usize,
    ) -> Result<Dispatch, Error> {
        let rows = if product.entry == "backward_weight" { self.outputs } else { product.batch };
        let columns = if product.entry == "forward" { self.outputs } else { self.inputs };
        let mut part = self.part(PARTIAL, recording, &product, epilogue).size("SLICES", slices);
        for (name, tensor) in product.tensors.iter().chain(sums) {
            part = part.lend(name, tensor);
        }
        recording.launch(part, product.entry)?.over([columns.div_ceil(4), rows, 1])
    }

    /// The values that the kernels of all families need, without tensors.
    fn part(
        &self,
        source: Source,
        recording: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
    ) -> Part {
        // The slot is filled even if the entry point does not use it; then none of its tensors are bound.
        let unused = Epilogue::store(&recording.parameters.get(&self.weight()));
        Part::new(source)
            .size("INPUTS", self.inputs)
            .size("OUTPUTS", self.outputs)
            .offer("BATCH", product.batch)
            .offer("ACCUMULATE", usize::from(product.accumulate))
            .fill("epilogue", &epilogue.unwrap_or(&unused).part)
    }

    /// Records one kernel, with its tiles.
    fn record_pass(
        &self,
        recording: Recording<'_>,
        product: &Product<'_>,
        epilogue: Option<&Epilogue>,
        variant: &Variant,
    ) -> Result<Dispatch, Error> {
        let mut part = self
            .part(source_of(variant.family, product.entry), recording, product, epilogue)
            .fill("sizes", &Part::new(variant.sizes()));
        for (name, tensor) in &product.tensors {
            part = part.bind(name, tensor);
        }
        if variant.reads_textures() {
            let weight = recording.parameters.get(&self.weight());
            let input = product.tensors.iter().find(|(name, _)| *name == "input");
            let operands = Part::new(TEXTURES)
                .size("TEXTURE_WIDTH", TEXTURE_WIDTH as usize)
                .size("WEIGHT_START", weight.first_quad())
                .size("INPUT_START", input.map_or(0, |(_, input)| input.first_quad()));
            part = part.fill("operands", &operands);
        } else if variant.family == Family::Lanes {
            part = part.fill("operands", &Part::new(BUFFERS));
        }
        let [tile_rows, tile_columns] = ["TILE_ROWS", "TILE_COLUMNS"].map(|name| variant.constant(name));
        let results = self.size(product).results();
        let rows: usize = results.iter().map(|[rows, ..]| rows.div_ceil(tile_rows)).sum();
        let columns = results[0][1].div_ceil(tile_columns);
        recording.launch(part, product.entry)?.over_groups(match variant.family {
            // Rows vary fastest, so that workgroups that run one after the other share the right operand.
            Family::Lanes => [rows, columns, 1],
            Family::Tiles | Family::Slices | Family::Workgroup => [columns, rows, variant.passes()],
        })
    }

    fn check(&self, operation: &'static str, input: [usize; 2], output: [usize; 2]) -> Result<(), Error> {
        let rows = input[0];
        require_shapes(operation, [[rows, self.inputs], [rows, self.outputs]], [input, output])
    }
}

/// The table of kernels: all families have the same entry points.
fn source_of(family: Family, entry: &str) -> Source {
    match (family, entry) {
        (Family::Tiles, "forward") => source!("nn/dense/tiles.wgsl"),
        (Family::Tiles, _) => source!("nn/dense/tiles/backward.wgsl"),
        (Family::Slices, "forward") => source!("nn/dense/slices.wgsl"),
        (Family::Slices, _) => source!("nn/dense/slices/backward.wgsl"),
        (Family::Workgroup, "forward") => source!("nn/dense/workgroup.wgsl"),
        (Family::Workgroup, _) => source!("nn/dense/workgroup/backward.wgsl"),
        (Family::Lanes, "forward") => source!("nn/dense/lanes.wgsl"),
        (Family::Lanes, _) => source!("nn/dense/lanes/backward.wgsl"),
    }
}

impl<'a> Product<'a> {
    /// Binds other tensors under the given names.
    fn replace<const N: usize>(&mut self, tensors: [(&'static str, &'a Tensor); N]) {
        for (name, tensor) in tensors {
            self.tensors.retain(|(other, _)| *other != name);
            self.tensors.push((name, tensor));
        }
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
    fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Vec<Dispatch>, Error> {
        let parameters = recording.parameters;
        self.check("dense forward", input.shape(), [output.rows, output.columns])?;
        let (weight, bias) = (parameters.get(&self.weight()), parameters.get(&self.bias()));
        let product = Product {
            entry: "forward",
            batch: output.rows,
            tensors: vec![("input", input), ("weight", &weight), ("bias", &bias)],
            accumulate: false,
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
    ) -> Result<Vec<Dispatch>, Error> {
        let doutput_shape = doutput.shape();
        self.check("dense backward", input.shape(), doutput_shape)?;
        let weight = recording.parameters.get(&self.weight());
        let (dweight, dbias) = (gradients.get(&self.weight()), gradients.get(&self.bias()));
        let mut tensors = vec![("input", input), ("doutput", doutput), ("dweight", &dweight), ("dbias", &dbias)];
        let mut entry = "backward_weight";
        if let Some(dinput) = dinput {
            self.check("dense backward", [dinput.rows, dinput.columns], doutput_shape)?;
            tensors.push(("weight", &weight));
            entry = "backward";
        }
        let product = Product { entry, batch: input.rows(), tensors, accumulate: recording.accumulate };
        self.dispatch(recording, &product, dinput)
    }
}
