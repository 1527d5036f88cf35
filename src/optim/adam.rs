//! Adam. The twin of `shaders/optim/adam.wgsl`.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Source, folded, source};

const SOURCE: Source = source!("optim/adam.wgsl");

/// Adam's constants; the learning rate comes from the table of steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    /// The decay of the mean of the gradients.
    pub beta1: f64,
    /// The decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Adam {
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
        let len = parameters.whole().padded_len();
        for arena in [gradients, moment1, moment2] {
            if arena.whole().padded_len() != len {
                return Err(Error::Shape {
                    operation: "Adam",
                    expected: format!("arenas of {len} words"),
                    found: format!("{} words", arena.whole().padded_len()),
                });
            }
        }
        let overrides = [
            ("QUADS", (len / 4) as f64),
            ("COMPLEMENT1", 1.0 - self.beta1),
            ("COMPLEMENT2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
        ];
        let kernel = gpu.kernel(&SOURCE, "update", &overrides)?;
        let tensors = [
            ("step", step),
            ("gradients", gradients.whole()),
            ("parameters", parameters.whole()),
            ("moment1", moment1.whole()),
            ("moment2", moment2.whole()),
        ];
        Dispatch::new(gpu, &kernel, &tensors, folded(len / 4, kernel.workgroup_size()[0]))
    }

    /// `(1 - beta1^t, 1 - beta2^t)`, what the moments after `t` updates are divided by.
    pub fn corrections(self, t: u32) -> (f32, f32) {
        let correction = |beta: f64| (1.0 - beta.powf(f64::from(t))) as f32;
        (correction(self.beta1), correction(self.beta2))
    }
}
