//! `shaders/objective/elbo.wgsl` as the kernels with the slot `objective` see it: all rows have the same weight, and
//! all latents too.

use super::{Given, Loss, alike};
use crate::objective::ObjectiveState;
use crate::objective::elbo::Elbo;
use crate::selftest::bench::Bench;

/// The ELBO, and the weights that it gives.
pub(super) fn given(bench: &Bench<'_>, samples: usize) -> Given {
    Given {
        name: "elbo",
        part: Elbo::new().part().clone(),
        is_doubly: false,
        row_weights: alike(bench, samples),
        latent_weights: vec![bench.kl_weight(); bench.sizes.columns],
        draw_weights: Vec::new(),
        loss: Loss::Elbo,
    }
}
