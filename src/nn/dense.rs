//! Products of matrices: the kernels of dense layers and of convolutions, and their recording. The twin of `shaders/nn/dense/`.

mod choice;
pub mod cost;
mod layer;
mod variant;
mod workgroup;

pub use layer::Dense;
pub use variant::{ProductSize, Variant};
pub use workgroup::{WeightGradient, weight_gradients};

use super::{Epilogue, Recording};
use crate::Error;
use crate::gpu::{Dispatch, Gpu, KernelRequest, Part, Source, TEXTURE_WIDTH, Tensor, source};
use crate::step::{At, Step};
use variant::Family;

const ROWS: Source = source!("nn/dense/rows.wgsl");
const OPERANDS: Source = source!("nn/dense/operands.wgsl");
const TEXTURES: Source = source!("nn/dense/lanes/textures.wgsl");
const BUFFERS: Source = source!("nn/dense/lanes/buffers.wgsl");
const PARTIAL: Source = source!("nn/dense/partial.wgsl");

/// A product, with the tensors that its kernels bind.
#[derive(Clone)]
pub(super) struct Product<'a> {
    /// The entry point and the sizes.
    pub size: ProductSize,
    /// Examples of a whole batch, without their samples.
    pub examples: usize,
    /// The part for the rows of its operands, with the overrides of `nn/dense/layer.wgsl`.
    pub rows: Part,
    /// The weight among all parameters.
    pub weight: &'a Tensor,
    /// The tensors, by the names of their bindings.
    pub tensors: Vec<(&'static str, &'a Tensor)>,
    /// Whether the gradients of weight and bias are added to the stored ones.
    pub accumulate: bool,
}

impl<'a> Product<'a> {
    /// Records the product with the variant that was chosen for it.
    pub fn dispatch(&self, recording: Recording<'_>, epilogue: Option<&Epilogue>) -> Result<Vec<Dispatch>, Error> {
        let gpu = recording.at.gpu;
        let (variant, choice) = choice::choose(gpu, self.size, &self.tensors, |variant| {
            // No step is running yet: a step with a whole batch is measured. Those of all positions count as examples.
            let step = Step { examples: self.examples as u32, length: 1, ..Step::default() }.upload(gpu)?;
            let recording = Recording { at: At { step: &step, ..recording.at }, ..recording };
            self.record(recording, epilogue, variant)
        });
        let dispatches = self.record(recording, epilogue, variant)?;
        Ok(dispatches.into_iter().map(|dispatch| dispatch.chosen_by(&choice)).collect())
    }

    /// Records the product with the kernels of a variant.
    fn record(
        &self,
        recording: Recording<'_>,
        epilogue: Option<&Epilogue>,
        variant: &Variant,
    ) -> Result<Vec<Dispatch>, Error> {
        if variant.passes() > 1 {
            return self.record_passes(recording, epilogue, variant);
        }
        Ok(vec![self.record_pass(recording, epilogue, variant)?])
    }

    /// Records the products of slices, which store their sums, and the kernels that add them.
    fn record_passes(
        &self,
        recording: Recording<'_>,
        epilogue: Option<&Epilogue>,
        variant: &Variant,
    ) -> Result<Vec<Dispatch>, Error> {
        let (gpu, slices) = (recording.at.gpu, variant.passes());
        let ProductSize { entry, inputs, outputs, batch, .. } = self.size;
        let partial = |rows, columns| Tensor::zeros(gpu, slices * rows, columns);
        let (sums, store);
        let mut second = Vec::new();
        let mut first = Product { accumulate: false, ..self.clone() };
        let (dweight, dbias);
        if entry != "forward" {
            (dweight, dbias) = (partial(outputs, inputs)?, partial(1, outputs)?);
            let sums = [("partial_sums", &dweight), ("partial_bias", &dbias)];
            second.push(self.record_sums(recording, "backward_weight", &sums, None, slices)?);
            first.replace([("dweight", &dweight), ("dbias", &dbias)]);
        }
        let epilogue_of_first = match epilogue {
            None => None,
            Some(epilogue) => {
                sums = partial(batch, epilogue.columns)?;
                store = Epilogue::store(&sums);
                let sums = [("partial_sums", &sums)];
                second.push(self.record_sums(recording, entry, &sums, Some(epilogue), slices)?);
                Some(&store)
            }
        };
        let mut dispatches = vec![first.record_pass(recording, epilogue_of_first, variant)?];
        dispatches.extend(second);
        Ok(dispatches)
    }

    /// Records the kernel that adds the sums of slices.
    fn record_sums(
        &self,
        recording: Recording<'_>,
        entry: &'static str,
        sums: &[(&'static str, &Tensor)],
        epilogue: Option<&Epilogue>,
        slices: usize,
    ) -> Result<Dispatch, Error> {
        let ProductSize { inputs, outputs, batch, .. } = self.size;
        let rows = if entry == "backward_weight" { outputs } else { batch };
        let columns = if entry == "forward" { outputs } else { inputs };
        let mut part = self.part(PARTIAL, &Part::new(OPERANDS), epilogue).size("SLICES", slices);
        for (name, tensor) in self.tensors.iter().chain(sums) {
            part = part.lend(name, tensor);
        }
        recording.launch(part, entry)?.over([columns.div_ceil(4), rows, 1])
    }

    /// The values that the kernels of all families need, without tensors.
    fn part(&self, source: Source, operands: &Part, epilogue: Option<&Epilogue>) -> Part {
        // The slot is filled even if the entry point does not use it; then none of its tensors are bound.
        let unused = Epilogue::store(self.weight);
        Part::new(source)
            .offer("BATCH", self.size.batch)
            .offer("ACCUMULATE", usize::from(self.accumulate))
            .fill("rows", &self.rows.clone().fill("operands", operands))
            .fill("epilogue", &epilogue.unwrap_or(&unused).part)
    }

    /// The operands as a variant reads them.
    fn operands(&self, variant: &Variant) -> Part {
        if variant.family != Family::Lanes {
            return operands();
        }
        if !variant.reads_textures() {
            return Part::new(BUFFERS);
        }
        let input = self.tensors.iter().find(|(name, _)| *name == "input");
        textures(self.weight, input.map_or(0, |(_, input)| input.first_quad()))
    }

    /// Records one kernel, with its tiles.
    fn record_pass(
        &self,
        recording: Recording<'_>,
        epilogue: Option<&Epilogue>,
        variant: &Variant,
    ) -> Result<Dispatch, Error> {
        let entry = self.size.entry;
        let mut part = self
            .part(source_of(variant.family, entry), &self.operands(variant), epilogue)
            .fill("sizes", &Part::new(variant.sizes()));
        for (name, tensor) in &self.tensors {
            part = part.bind(name, tensor);
        }
        let [tile_rows, tile_columns] = ["TILE_ROWS", "TILE_COLUMNS"].map(|name| variant.constant(name));
        let results = self.size.results();
        let rows: usize = results.iter().map(|[rows, ..]| rows.div_ceil(tile_rows)).sum();
        let columns = results[0][1].div_ceil(tile_columns);
        recording.launch(part, entry)?.over_groups(match variant.family {
            // Rows vary fastest, so that workgroups that run one after the other share the right operand.
            Family::Lanes => [rows, columns, 1],
            Family::Tiles | Family::Slices | Family::Workgroup => [columns, rows, variant.passes()],
        })
    }

    /// Binds other tensors under the given names.
    fn replace<const N: usize>(&mut self, tensors: [(&'static str, &'a Tensor); N]) {
        for (name, tensor) in tensors {
            self.tensors.retain(|(other, _)| *other != name);
            self.tensors.push((name, tensor));
        }
    }
}

/// The operands of a product as buffers.
pub(super) fn operands() -> Part {
    Part::new(OPERANDS)
}

/// The operands as textures, for an adapter that runs on a CPU and a gradient of the output that fits one, unless a variant that
/// reads buffers is wanted.
pub(super) fn operands_of_software(gpu: &Gpu, doutput: &Tensor, weight: &Tensor) -> Option<Part> {
    let lanes = Variant::named("lanes").is_some_and(|lanes| lanes.runs_on(gpu));
    let wanted = match gpu.kernel_request() {
        KernelRequest::Only(name) => Variant::named(name).is_none_or(Variant::reads_textures),
        _ => true,
    };
    (lanes && wanted && doutput.fits_texture(gpu)).then(|| textures(weight, 0))
}

fn textures(weight: &Tensor, input_start: usize) -> Part {
    Part::new(TEXTURES)
        .size("TEXTURE_WIDTH", TEXTURE_WIDTH as usize)
        .size("WEIGHT_START", weight.first_quad())
        .size("INPUT_START", input_start)
}

/// The table of kernels: all families have the same entry points.
fn source_of(family: Family, entry: &str) -> Source {
    let is_forward = match entry {
        "forward" => true,
        "backward" | "backward_weight" | "transposed" => false,
        _ => unreachable!("products have no entry point `{entry}`"),
    };
    match (family, is_forward) {
        (Family::Tiles, true) => source!("nn/dense/tiles.wgsl"),
        (Family::Tiles, false) => source!("nn/dense/tiles/backward.wgsl"),
        (Family::Slices, true) => source!("nn/dense/slices.wgsl"),
        (Family::Slices, false) => source!("nn/dense/slices/backward.wgsl"),
        (Family::Workgroup, true) => source!("nn/dense/workgroup.wgsl"),
        (Family::Workgroup, false) => source!("nn/dense/workgroup/backward.wgsl"),
        (Family::Lanes, true) => source!("nn/dense/lanes.wgsl"),
        (Family::Lanes, false) => source!("nn/dense/lanes/backward.wgsl"),
    }
}
