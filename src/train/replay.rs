//! The programs of a training with their tables, for players that replay them elsewhere.

use super::Trainer;
use crate::gpu::{Arena, Program, Tensor};
use crate::step::{Pass, Step};
use crate::vae::Recipe;

/// A pass that is replayed: its steps and the order of its examples, for each time that it runs.
#[derive(Debug)]
pub struct PassTables<'a> {
    /// The tensors that both are uploaded to.
    pub pass: &'a Pass,
    /// The table of steps and the order, for each run.
    pub runs: Vec<(Vec<Step>, Vec<u32>)>,
}

/// The programs of a training.
#[derive(Debug)]
pub struct TrainingPrograms<'a> {
    /// A step of training.
    pub step: &'a Program,
    /// The training images, a byte per value, each row padded to whole words; none for floats and text.
    pub images: Option<&'a Tensor>,
    /// The epochs.
    pub epochs: PassTables<'a>,
    /// A step of the evaluation on held-out examples, and what runs before its first one.
    pub evaluation: &'a Recipe,
    /// The evaluation's one run.
    pub held_out: PassTables<'a>,
    /// Its images, as the training images.
    pub held_out_images: Option<&'a Tensor>,
    /// The optimiser's state, which starts as zeros.
    pub states: &'a [Arena],
}

impl Trainer {
    /// The programs of the training, with the tables of all of its epochs.
    pub fn programs(&self) -> TrainingPrograms<'_> {
        let (evaluation, pass, steps, order) = self.evaluation.programs();
        TrainingPrograms {
            step: &self.program,
            images: bytes_of(&self.program),
            epochs: PassTables {
                pass: &self.step.pass,
                runs: (1..=self.epochs()).map(|epoch| self.table.epoch(epoch, 0)).collect(),
            },
            evaluation,
            held_out_images: bytes_of(&evaluation.step),
            held_out: PassTables { pass, runs: vec![(steps.to_vec(), order.to_vec())] },
            states: self.step.players[0].states(),
        }
    }
}

/// The images that the first dispatch of a step gathers, if they are bytes.
fn bytes_of(step: &Program) -> Option<&Tensor> {
    step.dispatches().first().and_then(|gather| gather.input("bytes"))
}
