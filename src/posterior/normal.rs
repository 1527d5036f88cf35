//! The diagonal normal posterior, its reparameterisation and its KL divergence from a prior. The twin of
//! `shaders/posterior/normal.wgsl` and of the files below it.
//!
//! The prior fills the slot `prior` of all of them: it defines the KL divergence of a latent, and its gradients.

mod bottleneck;

use super::{Bottleneck, Draws, LogvarRange, Reparameterised};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::graph::{Graph, Operation, Value};
use crate::nn::{Epilogue, Recording};
use crate::step::At;

const DRAW: Source = source!("posterior/normal.wgsl");
const BACKWARD: Source = source!("posterior/normal/backward.wgsl");
const BACKWARD_GENERAL: Source = source!("posterior/normal/backward/general.wgsl");

/// `q(z|x) = prod_l N(z_l; mean_l, exp(logvar_l))`. The encoder outputs the means and then the log variances.
#[derive(Debug)]
pub struct Normal {
    /// The range that the log variance is clamped to, if there is one.
    pub logvar_range: Option<LogvarRange>,
}

/// Binds rows of means and log variances, `(N, 2L)`, to a part that imports `shaders/posterior/normal/parameters.wgsl`:
/// a posterior's parameters, or a mixture's components. A gradient with respect to them is bound as `dnormals`.
pub(crate) fn parameters(part: Part, logvar_range: Option<LogvarRange>, normals: &Tensor) -> Part {
    clamped(part.size("L", normals.columns() / 2).bind("normals", normals), logvar_range)
}

/// Sets the range that log variances are clamped to.
fn clamped(part: Part, logvar_range: Option<LogvarRange>) -> Part {
    match logvar_range {
        None => part,
        Some(LogvarRange { min, max }) => part.set("LOGVAR_MIN", f64::from(min)).set("LOGVAR_MAX", f64::from(max)),
    }
}

impl Normal {
    /// The values that the kernels below need.
    fn part(&self, source: Source, draws: Draws<'_>) -> Part {
        parameters(Part::new(source), self.logvar_range, draws.outputs).fill("prior", draws.prior)
    }
}

impl Reparameterised for Normal {
    fn outputs(&self, latents: usize) -> usize {
        2 * latents
    }

    fn mean_and_logvar(&self, outputs: &[f32]) -> [Vec<f32>; 2] {
        let (mean, logvar) = outputs.split_at(outputs.len() / 2);
        let clamped = |logvar: &f32| self.logvar_range.map_or(*logvar, |range| range.clamp(*logvar));
        [mean.to_vec(), logvar.iter().map(clamped).collect()]
    }

    fn describe(&self, graph: &mut Graph, outputs: Value, latents: usize) -> [Value; 2] {
        let outputs = graph.named(outputs, "posterior");
        let (mean, mut logvar) = (graph.slice(outputs, 0, latents, 1), graph.slice(outputs, latents, 2 * latents, 1));
        if let Some(LogvarRange { min, max }) = self.logvar_range {
            logvar = graph.alike(Operation::Clamp(min, Some(max)), logvar);
        }
        [graph.named(mean, "mean"), graph.named(logvar, "logvar")]
    }

    /// `z = mean + exp(logvar / 2) * noise`
    ///
    /// # Source
    ///
    /// Kingma & Welling 2014, section 2.4.
    fn draw(&self, at: At<'_>, draws: Draws<'_>, kl: &Tensor) -> Result<Dispatch, Error> {
        check("drawing from the posterior", at, draws, Some(kl), None)?;
        let part = self.part(DRAW, draws).bind("z", draws.z).bind("kl", kl);
        at.launch(part, "draw")?.over([draws.z.stride() / 4, draws.z.rows(), 1])
    }

    fn bottleneck(
        &self,
        recording: Recording<'_>,
        draws: Draws<'_>,
        kl: &Tensor,
        around: &Bottleneck<'_>,
    ) -> Result<Option<Dispatch>, Error> {
        self.record_bottleneck(recording, draws, kl, around)
    }

    fn bottleneck_backward(
        &self,
        recording: Recording<'_>,
        draws: Draws<'_>,
        doutput: &Tensor,
        dposterior: &Tensor,
        around: &Bottleneck<'_>,
    ) -> Result<Option<Dispatch>, Error> {
        self.record_bottleneck_backward(recording, draws, [doutput, dposterior], around)
    }

    /// `dmean = dz + w * dkl / dmean`, `dlogvar = dz * (z - mean) / 2 + w * dkl / dlogvar`, `w = kl_weight / examples`
    ///
    /// `z - mean` is `exp(logvar / 2) * noise`, off by the rounding of `z`: the gradient is then off by half a unit in the
    /// last place of `z`, times `dz`, however small the standard deviation is.
    fn backward_epilogue(&self, at: At<'_>, draws: Draws<'_>, dposterior: &Tensor) -> Result<Epilogue, Error> {
        check("the posterior's gradient", at, draws, None, Some(dposterior))?;
        let part = self.part(BACKWARD, draws).bind("dnormals", dposterior);
        Ok(Epilogue::new(part, [draws.z.rows(), draws.z.columns()]))
    }

    /// `g = dz + w * dkl / dz`, `dmean = sum_k (g + w * dkl / dmean)`,
    /// `dlogvar = sum_k (g * (z - mean) / 2 + w * dkl / dlogvar)`, with the weight `w` that the objective gives to the
    /// row; or the doubly reparameterised gradient, as in the shader.
    ///
    /// # Source
    ///
    /// Tucker et al. 2019, "Doubly reparameterized gradient estimators for Monte Carlo objectives", equation 8.
    fn backward(
        &self,
        at: At<'_>,
        draws: Draws<'_>,
        objective: &Part,
        dz: &Tensor,
        dposterior: &Tensor,
    ) -> Result<Dispatch, Error> {
        check("the posterior's gradient", at, draws, Some(dz), Some(dposterior))?;
        let part = self.part(BACKWARD_GENERAL, draws).fill("objective", objective);
        let part = part.bind("z", draws.z).bind("dz", dz).bind("dnormals", dposterior);
        at.launch(part, "backward")?.over([draws.z.stride() / 4, draws.outputs.rows(), 1])
    }
}

/// Checks the shapes of both operands, of a tensor like `z`, and of one like the posterior.
fn check(
    operation: &'static str,
    at: At<'_>,
    draws: Draws<'_>,
    like_z: Option<&Tensor>,
    like_posterior: Option<&Tensor>,
) -> Result<(), Error> {
    let ([_, latents], [examples, _]) = (draws.z.shape(), draws.outputs.shape());
    let (z, posterior) = ([examples * at.samples, latents], [examples, 2 * latents]);
    let (like_z, like_posterior) = (like_z.unwrap_or(draws.z), like_posterior.unwrap_or(draws.outputs));
    let found = [draws.z, draws.outputs, like_z, like_posterior].map(Tensor::shape);
    require_shapes(operation, [z, posterior, z, posterior], found)
}
