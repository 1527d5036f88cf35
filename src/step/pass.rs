//! Passes over a data set: the table of steps, and the loop that replays a program over it.
//!
//! The GPU runs the pass: the host uploads the order and the table once, then only submits. Each submission copies its
//! rows of the metrics to a staging buffer; two submissions are in flight at a time, so that the GPU never waits.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};

use super::Step;
use crate::Error;
use crate::gpu::{Gpu, HostTime, Program, Readback, Tensor};

/// Splits `examples` into batches: the first position and the number of examples of each. The last batch may be short.
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
    /// The norm of the batch's gradients, if an update needs it and this is the batch's last step.
    pub gradient_norm: f32,
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

/// The steps of a pass: all examples of a data set that is on the GPU, or those of a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The order in which examples are taken.
    pub order: &'a [u32],
    /// The table of steps.
    pub steps: &'a [Step],
    /// The row of the first step to do.
    pub from: usize,
}

/// The target duration of one submission: short enough for a responsive desktop and a quick Ctrl-C, long enough to make
/// the cost of submitting negligible.
const SUBMISSION: Duration = Duration::from_millis(100);

/// The most steps of one submission. A software adapter takes milliseconds a step, and its driver uses memory for every
/// waiting command.
fn most_steps(gpu: &Gpu) -> usize {
    if gpu.adapter().is_software() { 8 } else { 500 }
}

/// The tensors of a pass over a number of examples.
#[derive(Debug)]
pub struct Pass {
    /// The current step: the kernels read it, and the last kernel of a step replaces it by the next one.
    pub step: Tensor,
    /// All steps of the pass.
    pub steps: Tensor,
    /// The order in which examples are processed, `(examples)`.
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

    /// Uploads the order and the steps of a segment, and replays `program` from its first step to its last one.
    ///
    /// `on_sums` is called with each run of steps as they become known, in order: the first one's row and their sums.
    /// When it breaks, the steps already submitted are finished and reported, with the rest of their batch, and no more are
    /// submitted. Returns the row after the last step done.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost; the error that `on_sums` returns.
    pub fn run(
        &mut self,
        gpu: &Gpu,
        program: &Program,
        Segment { order, steps, from }: Segment<'_>,
        mut on_sums: impl FnMut(usize, &[StepSums]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<usize, Error> {
        self.prepare(gpu, Segment { order, steps, from })?;
        let mut submitted = from;
        let mut reported = from;
        let mut in_flight = [0; 2];
        let mut turn = 0;
        let mut stopping = false;
        let mut last = Instant::now();
        loop {
            // A batch that is split into several steps is finished: half of it would leave half of its changes.
            let rest = steps[from..submitted].last().map_or(0, |step| step.chunks_left as usize);
            let most = if stopping { rest } else { steps.len() - submitted };
            let count = self.steps_per_submission.min(most);
            if count > 0 {
                let lengths: Vec<_> = steps[submitted..submitted + count].iter().map(|step| step.length).collect();
                self.readbacks[turn].submit(gpu, program, &lengths, &self.metrics, submitted);
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

    /// Uploads the order and the steps of a segment, and makes its first step the current one.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it has more examples or steps than the pass was made for.
    pub fn prepare(&self, gpu: &Gpu, Segment { order, steps, from }: Segment<'_>) -> Result<(), Error> {
        self.order.write(gpu, order)?;
        let mut table = steps.to_vec();
        // A table that is shorter than an earlier one ends in a step that never runs.
        table.resize(self.steps.rows(), Step::default());
        self.steps.write(gpu, bytemuck::cast_slice::<Step, u32>(&table))?;
        steps.get(from).map_or(Ok(()), |step| step.write_to(gpu, &self.step))
    }

    /// Measures the host's part of a step: to record and to submit it, and the time of a step if its kernels have nothing to
    /// do. That is the shortest of several passes over its steps, their uploads and waits included.
    ///
    /// It changes no tensor except those of the pass itself.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn host_time(
        &mut self,
        gpu: &Gpu,
        program: &Program,
        segment: Segment<'_>,
    ) -> Result<(HostTime, Duration), Error> {
        const RUN: Duration = Duration::from_millis(100);
        const LEAST: usize = 5;
        let empty = program.emptied();
        let trained_with = self.steps_per_submission;
        let mut shortest = Duration::MAX;
        let (mut runs, begin) = (0, Instant::now());
        while runs < LEAST || begin.elapsed() < RUN {
            let start = Instant::now();
            self.run(gpu, &empty, segment, |_, _| Ok(ControlFlow::Continue(())))?;
            shortest = shortest.min(start.elapsed());
            runs += 1;
        }
        let host = program.host_time(gpu, self.steps_per_submission as u32)?;
        self.steps_per_submission = trained_with;
        Ok((host, shortest / segment.steps.len() as u32))
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
