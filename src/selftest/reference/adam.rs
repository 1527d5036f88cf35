//! The reference of `shaders/optim/adam.wgsl`.

use crate::optim::Adam;

/// A parameter and its moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamState {
    /// The parameter.
    pub parameter: f64,
    /// The mean of its gradients.
    pub moment1: f64,
    /// The mean of their squares.
    pub moment2: f64,
}

impl AdamState {
    /// The state after update `t` with a gradient.
    ///
    /// # Source
    ///
    /// Kingma & Ba 2015, Algorithm 1.
    pub fn updated(self, adam: Adam, t: u32, learning_rate: f64, gradient: f64) -> AdamState {
        let Adam { beta1, beta2, epsilon } = adam;
        let moment1 = beta1 * self.moment1 + (1.0 - beta1) * gradient;
        let moment2 = beta2 * self.moment2 + (1.0 - beta2) * gradient * gradient;
        let corrected1 = moment1 / (1.0 - beta1.powf(f64::from(t)));
        let corrected2 = moment2 / (1.0 - beta2.powf(f64::from(t)));
        let parameter = self.parameter - learning_rate * corrected1 / (corrected2.sqrt() + epsilon);
        AdamState { parameter, moment1, moment2 }
    }
}
