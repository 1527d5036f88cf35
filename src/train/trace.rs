//! The first value of a step that is NaN or infinite.

use std::fmt;
use std::ops::ControlFlow;

use super::Trainer;
use crate::Error;
use crate::gpu::{Dispatch, Program, Tensor};
use crate::step::Segment;

/// Where a value that is NaN or infinite was first.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The step within the epoch, counted from 1.
    pub step: u32,
    /// The dispatch within the step, counted from 1, and their number; 0 for a parameter before the step.
    pub dispatch: [usize; 2],
    /// The kernel's file and entry point, and the name of its binding; or the parameter.
    pub tensor: String,
    /// The parameter that the kernel reads, if it reads one.
    pub parameter: Option<String>,
    /// The row and the column, counted from 0.
    pub place: [usize; 2],
    /// The value.
    pub value: f32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { step, dispatch: [dispatch, of], tensor, parameter, place: [row, column], value } = self;
        write!(f, "the first value that is not finite: {value} in {tensor}, row {row}, column {column}, ")?;
        if let Some(parameter) = parameter {
            write!(f, "computed with {parameter}, ")?;
        }
        match dispatch {
            0 => write!(f, "before step {step}"),
            _ => write!(f, "in dispatch {dispatch} of {of} of step {step}"),
        }
    }
}

impl Trainer {
    /// Trains again up to a step of the current epoch that diverged, counted from 1, and looks for the first tensor that has a
    /// value that is NaN or infinite, after each dispatch of the two steps up to it. If `on_update` breaks, the result is `None`,
    /// as it is if there is no such value. The model is useless afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn trace(
        &mut self,
        step: u32,
        mut on_update: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Origin>, Error> {
        let (mut steps, order) = self.steps_of(self.progress.epochs + 1);
        let chunks = self.table.chunks();
        let end = (step as usize * chunks).min(steps.len());
        let from = self.progress.steps as usize * chunks;
        // An update may make parameters NaN that only the next step shows.
        let checked = end.saturating_sub(2 * chunks).max(from);
        let segment = Segment { order: &order, steps: &steps[..checked], from };
        let done = self.step.pass.run(&self.vae.gpu, &self.program, segment, |_, _| Ok(on_update()))?;
        if done < checked {
            return Ok(None);
        }
        if let Some(origin) = self.parameter_not_finite(checked / chunks)? {
            return Ok(Some(origin));
        }
        steps.truncate(end);
        self.step.pass.prepare(&self.vae.gpu, Segment { order: &order, steps: &steps, from: checked })?;
        for row in checked..end {
            for (index, dispatch) in self.program.dispatches().iter().enumerate() {
                self.vae.gpu.run(&Program::from(dispatch.clone()), 1);
                if let Some(origin) = self.output_not_finite(dispatch)? {
                    let (step, of) = ((row / chunks + 1) as u32, self.program.dispatches().len());
                    return Ok(Some(Origin { step, dispatch: [index + 1, of], ..origin }));
                }
            }
            if on_update().is_break() {
                break;
            }
        }
        Ok(None)
    }

    fn parameter_not_finite(&self, steps: usize) -> Result<Option<Origin>, Error> {
        for (name, tensor) in self.vae.parameters.tensors() {
            if let Some((place, value)) = self.first_not_finite(&tensor)? {
                let (step, tensor) = (steps as u32 + 1, format!("the parameter {name}"));
                return Ok(Some(Origin { step, dispatch: [0; 2], tensor, parameter: None, place, value }));
            }
        }
        Ok(None)
    }

    /// What a dispatch wrote, without its own step.
    fn output_not_finite(&self, dispatch: &Dispatch) -> Result<Option<Origin>, Error> {
        for (name, tensor) in dispatch.outputs().filter(|(name, _)| *name != "step") {
            let Some((place, value)) = self.first_not_finite(tensor)? else { continue };
            let player = &self.step.players[0];
            let arenas = [&self.vae.parameters, &player.gradients];
            let own = arenas.iter().find_map(|arena| arena.name_of(tensor));
            let parameter = dispatch.read().iter().find_map(|read| self.vae.parameters.name_of(read));
            let own = own.map(|own| format!(" for {own}")).unwrap_or_default();
            // Without the files in its slots.
            let (file, entry) = dispatch.label().rsplit_once(':').unwrap_or((dispatch.label(), ""));
            let file = file.split(" + ").next().unwrap_or(file);
            let tensor = format!("`{name}`{own} of {file}:{entry}");
            let parameter = parameter.map(str::to_owned);
            return Ok(Some(Origin { step: 0, dispatch: [0; 2], tensor, parameter, place, value }));
        }
        Ok(None)
    }

    fn first_not_finite(&self, tensor: &Tensor) -> Result<Option<([usize; 2], f32)>, Error> {
        let values: Vec<f32> = tensor.read(&self.vae.gpu)?;
        let at = values.iter().position(|value| !value.is_finite());
        Ok(at.map(|at| ([at / tensor.columns(), at % tensor.columns()], values[at])))
    }
}
