//! The negative ELBO. The twin of `shaders/objective/elbo.wgsl`.

use super::ObjectiveState;
use crate::gpu::{Part, Source, source};

const PART: Source = source!("objective/elbo.wgsl");

/// `nll + kl_weight * kl`, the mean over an example's samples.
#[derive(Debug)]
pub struct Elbo {
    part: Part,
}

impl Elbo {
    /// The objective, which needs no tensors.
    pub fn new() -> Elbo {
        Elbo { part: Part::new(PART) }
    }
}

impl ObjectiveState for Elbo {
    fn part(&self) -> &Part {
        &self.part
    }

    fn is_plain(&self) -> bool {
        true
    }
}
