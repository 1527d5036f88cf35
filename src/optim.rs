//! Optimisers, the schedules of their learning rate, and the sums of gradients over the parts of a batch.
//!
//! An optimiser is an implementation of [`UpdateRule`] in a file of its own, with its WGSL files at the same path. To add one,
//! write these, and add a variant to [`Optimiser`] and an arm to [`OptimiserConfig::rule`].

mod accumulate;
mod adam;
mod clip;
pub mod schedule;

pub use accumulate::accumulate;
pub use adam::Adam;
pub(crate) use adam::Words;
pub use clip::{Clip, ClipConfig, OnNan};

use std::fmt::Debug;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::step::At;

/// The optimiser. There is no flag for it as long as there is only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimiser {
    /// Adam (Kingma & Ba 2015).
    #[default]
    Adam,
}

/// The optimiser and its settings.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct OptimiserConfig {
    /// The kind of optimiser.
    #[arg(skip)]
    #[serde(skip)]
    pub optimiser: Optimiser,
    /// The settings of Adam.
    #[command(flatten)]
    #[serde(flatten)]
    pub adam: Adam,
    /// Limits of the gradients.
    #[command(flatten)]
    #[serde(flatten)]
    pub clip: ClipConfig,
}

impl OptimiserConfig {
    /// The optimiser with its kernels: the only place that lists them all.
    pub fn rule(&self) -> Box<dyn UpdateRule> {
        match self.optimiser {
            Optimiser::Adam => Box::new(self.adam),
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        self.adam.validate()?;
        self.clip.validate()
    }
}

/// An optimiser as a kernel that updates all parameters at once, or as many as fit a binding.
pub trait UpdateRule: Debug {
    /// The names of its state arenas, each as large as the parameters, which start as zeros. Checkpoints store them
    /// under these names.
    fn states(&self) -> &'static [&'static str];

    /// The constants that its kernel reads as `step.optimiser` in update `t`, counted from 1.
    fn constants(&self, learning_rate: f64, t: u32) -> [f32; 4];

    /// Records one update of all parameters. If a batch is split into several steps, the last one makes the update.
    ///
    /// # Shapes
    ///
    /// - `parameters`, `gradients`, each of `states`: arenas of the same tensors
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the arenas differ in size.
    fn update(&self, at: At<'_>, update: Update<'_>) -> Result<Vec<Dispatch>, Error>;
}

/// What an update is made of.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// The parameters.
    pub parameters: &'a Arena,
    /// Their gradients.
    pub gradients: &'a Arena,
    /// The arenas of [`UpdateRule::states`].
    pub states: &'a [Arena],
    /// What clips them, if anything does.
    pub clip: Option<&'a Clip>,
    /// The names of the parameters that are weights, which alone decay, where there is weight decay.
    pub weights: &'a [&'a str],
    /// Words of the arenas that are the encoder's, which are the first: [`crate::step::Step::optimiser`] has constants for them, and others for
    /// the rest.
    pub encoder: usize,
}

/// The pieces of several arenas, which must be of the same size: a kernel updates one piece of each.
fn pieces<const N: usize>(
    operation: &'static str,
    gpu: &Gpu,
    arenas: [&Arena; N],
) -> Result<impl Iterator<Item = [Tensor; N]>, Error> {
    let lengths = arenas.map(|arena| arena.whole().padded_len());
    if let Some(found) = lengths.iter().find(|found| **found != lengths[0]) {
        let (expected, found) = (format!("arenas of {} words", lengths[0]), format!("{found} words"));
        return Err(Error::Argument { operation, expected, found });
    }
    let pieces = arenas.map(|arena| arena.pieces(gpu));
    Ok((0..pieces[0].len()).map(move |index| std::array::from_fn(|arena| pieces[arena][index].clone())))
}
