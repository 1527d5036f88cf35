//! The norm of the gradients, which is clipped, and updates that are left out. The twin of `shaders/optim/clip.wgsl` and of the
//! files below it.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("optim/clip.wgsl");
const FACTOR: Source = source!("optim/clip/factor.wgsl");
const NONE: Source = source!("optim/clip/none.wgsl");

/// Partial sums of a piece of an arena: `GROUPS` in the WGSL.
const GROUPS: usize = 64;

/// What happens if a gradient becomes NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNan {
    /// The training stops and says where the first such value was.
    #[default]
    Stop,
    /// The update is left out, and the training goes on.
    Skip,
}

/// Limits of the gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct ClipConfig {
    /// Scale the gradients of a batch down if their norm, over all parameters together, is larger than X
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Training")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// If a gradient becomes NaN or infinite
    #[arg(long, value_enum, default_value_t, help_heading = "Training")]
    #[serde(skip_serializing_if = "is_stop")]
    pub on_nan: OnNan,
}

fn is_stop(on_nan: &OnNan) -> bool {
    *on_nan == OnNan::Stop
}

impl ClipConfig {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let most = self.clip_norm.unwrap_or(1.0);
        // The kernel reads an f32.
        let fits = (most as f32).is_normal() && most > 0.0;
        require("--clip-norm", fits, "a finite number above 0 that 32 bits can hold", most)
    }

    /// Whether an update needs the norm of its gradients.
    pub fn needs_norm(&self) -> bool {
        self.clip_norm.is_some() || self.skips()
    }

    /// Whether updates from gradients that are NaN or infinite are left out.
    pub fn skips(&self) -> bool {
        self.on_nan == OnNan::Skip
    }
}

/// The tensors of a norm.
#[derive(Debug)]
pub struct Clip {
    config: ClipConfig,
    /// The partial sums of all pieces of the gradients.
    partials: Tensor,
    /// The norm, the factor, and whether the update is left out.
    pub(crate) clip: Tensor,
}

impl Clip {
    /// Makes the tensors for an arena of gradients, or nothing if no update needs the norm.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(gpu: &Gpu, gradients: &Arena, config: ClipConfig) -> Result<Option<Clip>, Error> {
        if !config.needs_norm() {
            return Ok(None);
        }
        let partials = Tensor::zeros(gpu, GROUPS * gradients.pieces(gpu).len(), 4)?;
        Ok(Some(Clip { config, partials, clip: Tensor::zeros(gpu, 1, 4)? }))
    }

    /// The partial sums.
    pub(crate) fn partials(&self) -> &Tensor {
        &self.partials
    }

    /// Records the norm of a batch's gradients, which is also the last value of the step's row of the metrics.
    ///
    /// `norm = sqrt(sum g^2)`, `factor = min(1, clip_norm / norm)`
    ///
    /// # Shapes
    ///
    /// - `metrics`: `(steps, 4)`
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernels cannot be made.
    ///
    /// # Source
    ///
    /// Pascanu et al. 2013, Algorithm 1.
    pub fn record(&self, at: At<'_>, gradients: &Arena, metrics: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let most = self.config.clip_norm.unwrap_or(f64::from(f32::MAX));
        let part = |first| {
            let part = Part::new(SOURCE).size("FIRST", first).set("MOST", most).flag("SKIPS", self.config.skips());
            part.bind("partials", &self.partials)
        };
        let square = |(piece, gradients): (usize, &Tensor)| {
            at.launch(part(piece * GROUPS).bind("gradients", gradients), "square")?.over_groups([GROUPS, 1, 1])
        };
        let mut dispatches = gradients.pieces(at.gpu).iter().enumerate().map(square).collect::<Result<Vec<_>, _>>()?;
        let part = part(0).bind("clip", &self.clip).bind("metrics", metrics);
        dispatches.push(at.launch(part, "limit")?.over_groups([1, 1, 1])?);
        Ok(dispatches)
    }
}

/// The part for the slot `clip` of an optimiser.
pub(super) fn part(clip: Option<&Clip>) -> Part {
    clip.map_or(Part::new(NONE), |clip| Part::new(FACTOR).bind("clip", &clip.clip))
}
