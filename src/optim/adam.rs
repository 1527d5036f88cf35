//! Adam. The twin of `shaders/optim/adam.wgsl` and of what fills its slot, below it.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::same_length;
use crate::Error;
use crate::error::require;
use crate::gpu::{Arena, Dispatch, Gpu, Source, folded, source};

const SOURCE: Source = source!("optim/adam.wgsl");
const QUADS: Source = source!("optim/adam/quads.wgsl");
const LANES: Source = source!("optim/adam/lanes.wgsl");

/// Adam's constants; the learning rate comes from the table of steps.
#[derive(Clone, Copy, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Adam {
    /// Adam's decay of the mean of the gradients
    #[arg(long, value_name = "X", default_value_t = 0.9, allow_negative_numbers = true, help_heading = "Training")]
    pub beta1: f64,
    /// Adam's decay of the mean of the squared gradients
    #[arg(long, value_name = "X", default_value_t = 0.999, allow_negative_numbers = true, help_heading = "Training")]
    pub beta2: f64,
    /// What Adam adds to the root of the second moment
    #[arg(long, value_name = "X", default_value_t = 1e-8, allow_negative_numbers = true, help_heading = "Training")]
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Adam {
    /// Checks the constants.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let decays = |beta: f64| (0.0..1.0).contains(&beta);
        // What the kernel takes is an f32.
        let adds = (self.epsilon as f32).is_normal() && self.epsilon > 0.0;
        require("--beta1", decays(self.beta1), "from 0 to below 1", self.beta1)?;
        require("--beta2", decays(self.beta2), "from 0 to below 1", self.beta2)?;
        require("--epsilon", adds, "a finite number above 0 that 32 bits can hold", self.epsilon)
    }

    /// Records one update of all parameters.
    ///
    /// `m += (1 - beta1) * (g - m)`, `v += (1 - beta2) * (g^2 - v)`,
    /// `p -= learning_rate * (m / correction1) / (sqrt(v / correction2) + epsilon)`
    ///
    /// # Shapes
    ///
    /// - all four arenas: the same
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the arenas differ in size.
    ///
    /// # Source
    ///
    /// Kingma & Ba 2015, Algorithm 1.
    pub fn update(
        self,
        gpu: &Gpu,
        step: &crate::gpu::Tensor,
        parameters: &Arena,
        gradients: &Arena,
        moment1: &Arena,
        moment2: &Arena,
    ) -> Result<Dispatch, Error> {
        let len = same_length("Adam", &[parameters, gradients, moment1, moment2])?;
        let source = SOURCE.with("words", if gpu.has_wide_words() { LANES } else { QUADS });
        let words = len / gpu.shader(&source)?.constant("VALUES")? as usize;
        let overrides = [
            ("WORDS", words as f64),
            ("COMPLEMENT1", 1.0 - self.beta1),
            ("COMPLEMENT2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
        ];
        let kernel = gpu.kernel(&source, "update", &overrides)?;
        let tensors = [
            ("step", step),
            ("gradients", gradients.whole()),
            ("parameters", parameters.whole()),
            ("moment1", moment1.whole()),
            ("moment2", moment2.whole()),
        ];
        Dispatch::new(gpu, &kernel, &tensors, folded(words, kernel.workgroup_size()[0]))
    }

    /// `(1 - beta1^t, 1 - beta2^t)`, what the moments after `t` updates are divided by.
    pub fn corrections(self, t: u32) -> (f32, f32) {
        let correction = |beta: f64| (1.0 - beta.powf(f64::from(t))) as f32;
        (correction(self.beta1), correction(self.beta2))
    }
}
