//! Steps: a row of the table of steps, the context in which kernels are recorded, the pass that replays a program over
//! the table, and the metrics that it reports.

pub mod metrics;
mod pass;

pub(crate) use pass::first_not_finite;
pub use pass::{Pass, Segment, StepSums, batches};

use bytemuck::{Pod, Zeroable};

use crate::Error;
use crate::gpu::{Gpu, Launch, Part, Tensor};

/// One row of the table of steps; the layout is that of `shaders/lib/step.wgsl`, which the tests compare.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Step {
    /// This row's number in the table.
    pub row: u32,
    /// Updates so far, this one included; 0 outside training.
    pub t: u32,
    /// The batch's first position in the order.
    pub first: u32,
    /// Examples in this batch.
    pub examples: u32,
    /// The noise key, from [`crate::noise::key`].
    pub key: [u32; 4],
    /// The optimiser's constants for this update, of the encoder and of all other parameters. Zeros leave them as they are.
    pub optimiser: [[f32; 4]; 2],
    /// The objective's constants for this update; the first one is the KL weight.
    pub objective: [f32; 4],
    /// The index of an example's first importance sample in this step: its samples may be split over several steps.
    pub first_sample: u32,
    /// Samples of each example that count in this step, if its samples are split over several steps.
    pub live_samples: u32,
    /// Steps of the same batch before this one: a batch that is too large for memory is split into several steps.
    pub chunk: u32,
    /// Steps of the same batch after this one; the last one updates the parameters.
    pub chunks_left: u32,
    /// The fraction of its batch's examples that this step has.
    pub share: f32,
    /// Positions of its longest sentence, for models of text.
    pub length: u32,
    /// Fills whole `vec4`s.
    pub reserved: [u32; 2],
}

impl Step {
    /// Words of a row.
    pub(crate) const WORDS: usize = size_of::<Step>() / size_of::<u32>();

    /// The positions of its longest sentence; 0 if examples have no lengths.
    pub(crate) fn longest(&self, order: &[u32], lengths: &[u32]) -> u32 {
        let examples = order[self.first as usize..][..self.examples as usize].iter();
        examples.filter_map(|example| lengths.get(*example as usize)).max().copied().unwrap_or(0)
    }

    /// A tensor for one step.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn tensor(gpu: &Gpu) -> Result<Tensor, Error> {
        Tensor::zeros(gpu, 1, Step::WORDS)
    }

    /// A tensor with this step.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn upload(&self, gpu: &Gpu) -> Result<Tensor, Error> {
        let tensor = Step::tensor(gpu)?;
        self.write_to(gpu, &tensor)?;
        Ok(tensor)
    }

    /// Writes this step to a tensor.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensor was not made for a step.
    pub fn write_to(&self, gpu: &Gpu, tensor: &Tensor) -> Result<(), Error> {
        tensor.write(gpu, bytemuck::cast_slice::<Step, u32>(std::slice::from_ref(self)))
    }
}

/// The context in which the kernels of a step are recorded.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The GPU.
    pub gpu: &'a Gpu,
    /// The current step, which kernels read as `step`.
    pub step: &'a Tensor,
    /// Rows of each example: its importance samples after z is drawn, or one.
    pub samples: usize,
    /// Whether the rows are those of all positions of sentences: (position, example, sample), the sample varies fastest.
    pub sequence: bool,
}

impl<'a> At<'a> {
    /// The context for an ordinary row for each sample.
    pub fn new(gpu: &'a Gpu, step: &'a Tensor, samples: usize) -> At<'a> {
        At { gpu, step, samples, sequence: false }
    }

    /// Makes a kernel of a step, with the binding `step` and the overrides `SAMPLES` and `SEQUENCE`.
    ///
    /// # Errors
    ///
    /// As [`Gpu::launch`].
    pub fn launch(self, part: Part, entry: &str) -> Result<Launch<'a>, Error> {
        let part = part.offer("SAMPLES", self.samples).offer("SEQUENCE", usize::from(self.sequence));
        self.gpu.launch(part.lend("step", self.step), entry)
    }
}
