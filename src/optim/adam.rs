//! Adam. The twin of `shaders/optim/adam.wgsl` and of the files below it, which fill its slot.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Update, UpdateRule, clip, pieces};
use crate::Error;
use crate::error::require;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("optim/adam.wgsl");
const QUADS: Source = source!("optim/adam/quads.wgsl");
const LANES: Source = source!("optim/adam/lanes.wgsl");

/// Adam's constants; the learning rate comes from the table of steps.
#[derive(Clone, Copy, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Adam {
    /// Adam: decay of the mean of the gradients
    #[arg(long, value_name = "X", default_value_t = 0.9, allow_negative_numbers = true, help_heading = "Training")]
    pub beta1: f64,
    /// Adam: decay of the mean of the squared gradients
    #[arg(long, value_name = "X", default_value_t = 0.999, allow_negative_numbers = true, help_heading = "Training")]
    pub beta2: f64,
    /// Adam: constant that is added to the root of the second moment
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
        // The kernel reads an f32.
        let adds = (self.epsilon as f32).is_normal() && self.epsilon > 0.0;
        require("--beta1", decays(self.beta1), "from 0 to below 1", self.beta1)?;
        require("--beta2", decays(self.beta2), "from 0 to below 1", self.beta2)?;
        require("--epsilon", adds, "a finite number above 0 that 32 bits can hold", self.epsilon)
    }
}

impl UpdateRule for Adam {
    fn states(&self) -> &'static [&'static str] {
        &["moment1", "moment2"]
    }

    /// The learning rate, `1 - beta1^t` and `1 - beta2^t`, which are above 0. The moments after `t` updates are divided by the last two.
    fn constants(&self, learning_rate: f64, t: u32) -> [f32; 4] {
        let correction = |beta: f64| (1.0 - beta.powf(f64::from(t))) as f32;
        [learning_rate as f32, correction(self.beta1), correction(self.beta2), 0.0]
    }

    /// `m += (1 - beta1) * (g - m)`, `v += (1 - beta2) * (g^2 - v)`,
    /// `p -= learning_rate * (m / correction1) / (sqrt(v / correction2) + epsilon)`
    ///
    /// # Source
    ///
    /// Kingma & Ba 2015, Algorithm 1.
    fn update(&self, at: At<'_>, update: Update<'_>) -> Result<Vec<Dispatch>, Error> {
        let words = if at.gpu.has_wide_words() { Words::Lanes } else { Words::Quads };
        self.update_words(words, at, update)
    }
}

/// The words in which a kernel loads the arenas. Both update to the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Four values: for any adapter.
    Quads,
    /// Eight values, as pairs of 64 bits: for adapters that run on a CPU.
    Lanes,
}

impl Adam {
    /// [`UpdateRule::update`] in words of the given kind.
    pub(crate) fn update_words(
        self,
        words: Words,
        at: At<'_>,
        Update { parameters, gradients, states, clip, encoder, .. }: Update<'_>,
    ) -> Result<Vec<Dispatch>, Error> {
        let [moment1, moment2] = states else {
            let (expected, found) = ("2 arenas of moments".to_owned(), states.len().to_string());
            return Err(Error::Argument { operation: "Adam", expected, found });
        };
        let mut first = 0;
        let update = |[parameters, gradients, moment1, moment2]: [Tensor; 4]| {
            let part = Part::new(SOURCE)
                .fill("words", &Part::new(if words == Words::Lanes { LANES } else { QUADS }))
                .fill("clip", &clip::part(clip))
                .set("COMPLEMENT1", 1.0 - self.beta1)
                .set("COMPLEMENT2", 1.0 - self.beta2)
                .set("EPSILON", self.epsilon)
                .size("FIRST", first)
                .size("ENCODER", encoder)
                .bind("gradients", &gradients)
                .bind("parameters", &parameters)
                .bind("moment1", &moment1)
                .bind("moment2", &moment2);
            first += gradients.stride();
            let launch = at.launch(part, "update")?;
            let words = gradients.stride() / launch.constant("VALUES")?;
            launch.over_folded(words)
        };
        pieces("Adam", at.gpu, [parameters, gradients, moment1, moment2])?.map(update).collect()
    }
}
