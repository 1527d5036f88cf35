//! An epoch of training, and the evaluation after it.

use std::ops::ControlFlow;
use std::time::Instant;

use super::{EpochProgress, Progress, Trainer};
use crate::Error;
use crate::step::metrics::EpochMetrics;
use crate::step::{Segment, Step, StepSums};

impl Trainer {
    /// Trains to the end of the current epoch and evaluates the model. If `on_update` breaks, it stops between two
    /// steps and returns `None`; the next call continues from there.
    ///
    /// # Errors
    ///
    /// [`Error::Diverged`] if the loss becomes NaN or infinite, or a parameter is at the end of the epoch.
    pub fn epoch(
        &mut self,
        mut on_update: impl FnMut(&EpochProgress) -> ControlFlow<()>,
    ) -> Result<Option<EpochMetrics>, Error> {
        let epoch = self.progress.epochs + 1;
        let (steps, order) = self.steps_of(epoch);
        let chunks = self.table.chunks();
        let start = Instant::now();
        let Progress { mut sums, seconds, .. } = self.progress;
        let of = self.examples as u64;
        let segment = Segment { order: &order, steps: &steps, from: self.progress.steps as usize * chunks };
        let (divergence, clip) = (self.divergence, self.config.optimiser.clip);
        let done = self.step.pass.run(&self.vae.gpu, &self.program, segment, |row, step_sums| {
            for (step, step_sums) in steps[row..].iter().zip(step_sums) {
                let norm = clip.needs_norm().then(|| norm_of(step, step_sums)).flatten();
                let not_finite = norm.filter(|norm| !norm.is_finite()).map(|norm| ("a gradient", norm));
                let found = step_sums.first_not_finite();
                match found {
                    Some(_) if clip.skips() => sums.leave_out(step),
                    _ => sums.add(step, step_sums),
                }
                if !clip.skips() {
                    divergence.check(epoch, step.row / chunks as u32 + 1, found.or(not_finite))?;
                }
                norm.into_iter().for_each(|norm| sums.add_norm(norm));
            }
            let averages = sums.averages();
            Ok(on_update(&EpochProgress { epoch, examples: sums.examples, of, averages }))
        })?;
        let seconds = seconds + start.elapsed().as_secs_f64();
        if done < steps.len() {
            // A pass stops between two batches.
            self.progress = Progress { steps: (done / chunks) as u32, sums, seconds, ..self.progress };
            return Ok(None);
        }
        let (updates, train) = (steps.len().div_ceil(chunks) as u32, sums.averages());
        // All updates were left out.
        divergence.check(epoch, updates, train.first_not_finite())?;
        let held_out = self.evaluation.averages()?;
        divergence.check(epoch, updates, held_out.first_not_finite())?;
        // In a comparison, as in relu, a driver may lose NaN, and then the loss does not show it.
        let parameters = self.vae.parameters.whole().read::<f32>(&self.vae.gpu)?;
        let found = parameters.iter().find(|value| !value.is_finite());
        divergence.check(epoch, updates, found.map(|value| ("a parameter", *value)))?;
        let (warming_up, patience) = (self.table.warms_up(epoch), self.config.learning_rate.patience);
        let cuts = self.progress.history.lr_cuts;
        let history = self.progress.history.after(epoch, held_out.loss, warming_up, patience);
        self.progress = Progress { epochs: epoch, history, ..Progress::default() };
        Ok(Some(EpochMetrics {
            epoch,
            train,
            validation: self.validates.then_some(held_out),
            test: (!self.validates).then_some(held_out),
            best: self.validates && history.best.is_some_and(|(best, _)| best == epoch),
            kl_weight: self.table.last_kl_weight(epoch),
            learning_rate: self.table.learning_rate(epoch, cuts),
            gradient_norm: sums.gradient_norm(),
            left_out: sums.left_out,
            active_units: Some(self.evaluation.latents()?.active_units()),
            examples_per_second: of as f64 / seconds,
            seconds,
        }))
    }

    /// The steps of an epoch, and the order of its examples.
    pub(super) fn steps_of(&self, epoch: u32) -> (Vec<Step>, Vec<u32>) {
        self.table.epoch(epoch, self.progress.history.lr_cuts)
    }
}

/// The norm of a batch's gradients, if this is the batch's last step.
fn norm_of(step: &Step, sums: &StepSums) -> Option<f32> {
    (step.chunks_left == 0).then_some(sums.gradient_norm)
}
