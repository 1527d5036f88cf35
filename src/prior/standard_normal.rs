//! The standard normal prior: its KL divergence and draws from it. The twin of `shaders/prior/standard_normal.wgsl` and of
//! the files below it.

use super::{KlEstimate, LatentDensity, PriorContext, PriorState};
use crate::Error;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::posterior::PosteriorConfig;
use crate::step::At;

const DRAW: Source = source!("prior/standard_normal/draw.wgsl");

/// `p(z) = N(0, I)`
#[derive(Debug)]
pub(super) struct StandardNormal;

impl LatentDensity for StandardNormal {
    fn has_closed_form(&self) -> bool {
        true
    }

    fn kl_in_pytorch(&self, _: &PosteriorConfig, _encode: &str) -> String {
        "return 0.5 * (mean**2 + logvar.exp() - logvar - 1.0).sum(dim=1)".to_owned()
    }

    fn state(&self, context: PriorContext<'_>) -> Result<Box<dyn PriorState>, Error> {
        Ok(Box::new(State { part: kl(context.estimate) }))
    }
}

#[derive(Debug)]
struct State {
    part: Part,
}

impl PriorState for State {
    fn part(&self) -> &Part {
        &self.part
    }

    fn sample(&self, at: At<'_>, z: &Tensor) -> Result<Dispatch, Error> {
        sample(at, z)
    }
}

/// The KL divergence from a normal posterior to the standard normal prior, and its gradients: the part for the slot
/// `prior` of the posterior's kernels.
///
/// `kl = 1/2 * (mean^2 + exp(logvar) - logvar - 1)` in closed form, `kl = 1/2 * (z^2 - logvar - noise^2)` as the sample
/// estimate `log q(z|x) - log p(z)`; in nats, for each latent.
///
/// # Source
///
/// Kingma & Welling 2014, Appendix B.
pub fn kl(estimate: KlEstimate) -> Part {
    let source = match estimate {
        KlEstimate::ClosedForm => source!("prior/standard_normal.wgsl"),
        KlEstimate::Sampled => source!("prior/standard_normal/kl_estimate.wgsl"),
    };
    Part::new(source)
}

/// Records draws from the prior, with noise keyed by the step.
///
/// # Shapes
///
/// - `z`: `(B, L)`
///
/// # Errors
///
/// [`Error::Limit`] if the batch is larger than the adapter's grid.
pub fn sample(at: At<'_>, z: &Tensor) -> Result<Dispatch, Error> {
    let part = Part::new(DRAW).size("L", z.columns()).bind("z", z);
    at.launch(part, "draw")?.over([z.stride() / 4, z.rows(), 1])
}
