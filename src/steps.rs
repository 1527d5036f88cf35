//! Passes over a data set: the table of steps, and the loop that replays a program over it.
//!
//! The GPU runs the pass: the host uploads the order and the table once, then only submits. Each submission copies its
//! rows of the metrics to a staging buffer; two submissions are under way at a time, so that the GPU never waits.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};

use crate::Error;
use crate::gpu::{Gpu, Program, Readback, Tensor};

/// One row of the table of steps; the layout is that of `shaders/lib/step.wgsl`.
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
    pub rows: u32,
    /// Adam's learning rate.
    pub learning_rate: f32,
    /// The KL term's weight in the loss.
    pub kl_weight: f32,
    /// `1 - beta1^t`.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
    /// The noise key, from [`crate::noise::key`].
    pub key: [u32; 4],
    /// The number of an example's first importance sample: they may come in several steps.
    pub sample: u32,
    /// What the KL divergence is drawn to, in nats, where the objective has a capacity.
    pub capacity: f32,
    /// Samples of each example that count, where they come in several steps.
    pub samples: u32,
    /// Steps of the same batch before this one: one that is too large for memory comes in several.
    pub chunk: u32,
    /// Steps of the same batch after this one; the last one updates the parameters.
    pub chunks_left: u32,
    /// The share of its batch's examples that this step has.
    pub share: f32,
    /// What fills a whole number of `vec4`s.
    pub unused: [u32; 2],
}

impl Step {
    /// Words of a row.
    const WORDS: usize = size_of::<Step>() / size_of::<u32>();

    /// A tensor that holds one step.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn tensor(gpu: &Gpu) -> Result<Tensor, Error> {
        Tensor::zeros(gpu, 1, Step::WORDS)
    }
}

/// Splits `examples` into batches: each one's first position and its rows, the last one short if it must be.
pub fn batches(examples: usize, batch_size: usize) -> impl Iterator<Item = (u32, u32)> {
    (0..examples).step_by(batch_size).map(move |first| (first as u32, batch_size.min(examples - first) as u32))
}

/// The sums over the examples of one step, in nats.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct StepSums {
    /// The log probability, the mean over an example's samples.
    pub log_prob: f32,
    /// The KL divergence, the mean over an example's samples.
    pub kl: f32,
    /// What training minimises.
    pub loss: f32,
    padding: f32,
}

impl StepSums {
    /// The first of the terms that is NaN or infinite, by name.
    pub fn first_not_finite(&self) -> Option<(&'static str, f32)> {
        first_not_finite([self.log_prob, self.kl, self.loss])
    }
}

/// The first of log probability, KL divergence and loss that is NaN or infinite, by name.
pub(crate) fn first_not_finite(terms: [f32; 3]) -> Option<(&'static str, f32)> {
    let names = ["the log probability", "the KL divergence", "the loss"];
    names.into_iter().zip(terms).find(|(_, value)| !value.is_finite())
}

/// How long one submission should take: short enough for a desktop to stay responsive and for Ctrl-C to be felt,
/// long enough that submitting costs nothing.
const SUBMISSION: Duration = Duration::from_millis(100);

/// The most steps of one submission. A software adapter takes milliseconds a step, and its driver keeps memory for every
/// command that waits.
fn most_steps(gpu: &Gpu) -> usize {
    if gpu.adapter().is_software() { 8 } else { 500 }
}

/// What a pass over `examples` examples needs on the GPU, apart from the program.
pub struct Pass {
    /// The step under way, `(1, 20)`: the kernels read it, the last one of a step moves it on.
    pub step: Tensor,
    /// All steps of the pass.
    pub steps: Tensor,
    /// The order in which examples are taken, `(examples)`.
    pub order: Tensor,
    /// The sums of each step.
    pub metrics: Tensor,
    readbacks: [Readback; 2],
    steps_per_submission: usize,
    most_steps: usize,
}

impl Pass {
    /// Makes the tensors for a pass over `examples` examples in batches of `batch_size`.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(gpu: &Gpu, examples: usize, batch_size: usize) -> Result<Pass, Error> {
        Pass::with_steps(gpu, examples, examples.div_ceil(batch_size))
    }

    /// Makes the tensors for a pass of `count` steps over `examples` examples.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn with_steps(gpu: &Gpu, examples: usize, count: usize) -> Result<Pass, Error> {
        let most_steps = most_steps(gpu).min(count);
        let most = most_steps * size_of::<StepSums>() / size_of::<f32>();
        Ok(Pass {
            step: Step::tensor(gpu)?,
            steps: Tensor::zeros(gpu, count, Step::WORDS)?,
            order: Tensor::zeros(gpu, 1, examples)?,
            metrics: Tensor::zeros(gpu, count, size_of::<StepSums>() / size_of::<f32>())?,
            readbacks: [Readback::new(gpu, most)?, Readback::new(gpu, most)?],
            steps_per_submission: 1,
            most_steps,
        })
    }

    /// Uploads the order and the steps, and replays `program` from step `from` to the last one.
    ///
    /// `on_sums` is called with each run of steps as they become known, in order: the first one's row and their sums.
    /// When it breaks, the steps already submitted are finished and reported, with the rest of their batch, and no more are
    /// submitted. Returns the row after the last step done.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost; what `on_sums` returns.
    pub fn run(
        &mut self,
        gpu: &Gpu,
        program: &Program,
        order: &[u32],
        steps: &[Step],
        from: usize,
        mut on_sums: impl FnMut(usize, &[StepSums]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<usize, Error> {
        self.order.write(gpu, order)?;
        let mut table = steps.to_vec();
        // A table that is shorter than another one before ends in a step that is never taken.
        table.resize(self.steps.rows(), Step::default());
        self.steps.write(gpu, bytemuck::cast_slice::<Step, u32>(&table))?;
        if let Some(step) = steps.get(from) {
            self.step.write(gpu, bytemuck::cast_slice::<Step, u32>(std::slice::from_ref(step)))?;
        }
        let mut submitted = from;
        let mut reported = from;
        let mut in_flight = [0; 2];
        let mut turn = 0;
        let mut stopping = false;
        let mut last = Instant::now();
        loop {
            // A batch that comes in several steps is finished: half of it would leave half of what it changes.
            let rest = steps[from..submitted].last().map_or(0, |step| step.chunks_left as usize);
            let most = if stopping { rest } else { steps.len() - submitted };
            let count = self.steps_per_submission.min(most);
            if count > 0 {
                self.readbacks[turn].submit(gpu, program, count as u32, &self.metrics, submitted, count);
                submitted += count;
            }
            in_flight[turn] = count;
            turn = 1 - turn;
            let done = std::mem::take(&mut in_flight[turn]);
            if done > 0 {
                let sums = self.readbacks[turn].collect::<StepSums>(gpu)?;
                let elapsed = last.elapsed();
                last = Instant::now();
                self.steps_per_submission = next_size(self.steps_per_submission, done, elapsed).min(self.most_steps);
                stopping |= on_sums(reported, &sums)?.is_break();
                reported += done;
            } else if count == 0 {
                return Ok(reported);
            }
        }
    }
}

/// Steps for the next submission, from the time that `done` steps took; it at most doubles.
fn next_size(current: usize, done: usize, elapsed: Duration) -> usize {
    let fitting = (SUBMISSION.as_secs_f64() / elapsed.as_secs_f64().max(1e-9) * done as f64) as usize;
    fitting.clamp(1, 2 * current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_example_once() {
        assert_eq!(batches(10, 4).collect::<Vec<_>>(), [(0, 4), (4, 4), (8, 2)]);
        assert_eq!(batches(8, 4).collect::<Vec<_>>(), [(0, 4), (4, 4)]);
        assert_eq!(batches(3, 4).collect::<Vec<_>>(), [(0, 3)]);
    }

    #[test]
    fn submissions_grow_slowly_and_shrink_at_once() {
        assert_eq!(next_size(4, 4, Duration::from_micros(10)), 8);
        assert_eq!(next_size(64, 64, Duration::from_secs(3)), 2);
        assert_eq!(next_size(2, 2, Duration::from_secs(3)), 1);
    }
}
