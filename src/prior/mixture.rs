//! Mixtures of normals with equal weights as priors, `p(z) = 1/M sum_c N(z; m_c, exp(v_c))`: the sample estimate of the KL
//! divergence, its gradients, and draws. The twin of `shaders/prior/mixture.wgsl` and of the files below it.

use super::{LatentDensity, PriorContext, PriorState};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Source, Tensor, source};
use crate::nn::exact::{ExactStack, HostParameters};
use crate::nn::{Init, ParameterSpec, Role};
use crate::posterior::normal::parameters;
use crate::posterior::{LogvarRange, PosteriorConfig, Reparameterised};
use crate::step::At;

const PART: Source = source!("prior/mixture.wgsl");
const PREPARE: Source = source!("prior/mixture/prepare.wgsl");
const SCORE: Source = source!("prior/mixture/score.wgsl");
const COMBINE: Source = source!("prior/mixture/combine.wgsl");
const BACKWARD_Z: Source = source!("prior/mixture/backward_z.wgsl");
const BACKWARD_COMPONENTS: Source = source!("prior/mixture/backward_components.wgsl");
const DRAW: Source = source!("prior/mixture/draw.wgsl");

/// The most components: a kernel chooses one of them from the two halves of a 32-bit draw.
pub(crate) const MOST_COMPONENTS: usize = 1 << 16;

/// Rows that a thread of `score` processes, and a workgroup of `backward_z`: the constant `ROWS` of each.
const ROWS: &str = "ROWS";

/// The name of the parameter.
const PARAMETER: &str = "prior.components";

/// A mixture of normals with equal weights, whose means and log variances are a parameter, `(M, 2L)`.
#[derive(Debug)]
pub(super) struct MixtureOfNormals {
    /// The number of components, M.
    pub components: usize,
}

impl LatentDensity for MixtureOfNormals {
    /// The means start with the variance of a standard normal, and the variances start at 1.
    fn parameter(&self, latents: usize, _: usize) -> Option<ParameterSpec> {
        // The uniform distribution of variance 1.
        let init = Init::Normals { bound: 3f32.sqrt() };
        let (name, shape) = (PARAMETER.to_owned(), vec![self.components, 2 * latents]);
        Some(ParameterSpec { name, shape, role: Role::Bias, init })
    }

    fn widest(&self) -> usize {
        self.components
    }

    fn components(
        &self,
        latents: usize,
        parameters: &HostParameters,
        posterior: &dyn Reparameterised,
        _encoder: &ExactStack,
    ) -> Vec<[Vec<f32>; 2]> {
        parameters.get(PARAMETER).chunks_exact(2 * latents).map(|row| posterior.mean_and_logvar(row)).collect()
    }

    fn kl_in_pytorch(&self, posterior: &PosteriorConfig, _encode: &str) -> String {
        let components = format!("means, logvars = parameter(\"{PARAMETER}\").chunk(2, dim=1)");
        let clamped = posterior
            .logvar_range
            .map_or(String::new(), |LogvarRange { min, max }| format!("logvars = logvars.clamp({min:?}, {max:?})\n"));
        format!("{components}\n{clamped}{}", kl_in_pytorch())
    }

    fn state(&self, context: PriorContext<'_>) -> Result<Box<dyn PriorState>, Error> {
        let components = context.parameters.get(PARAMETER);
        Ok(Box::new(Learned(Mixture::new(context, &components)?)))
    }
}

/// The KL divergence to a mixture of normals with `means` and `logvars`, `(M, L)`, as the lines of
/// [`LatentDensity::kl_in_pytorch`].
pub(super) fn kl_in_pytorch() -> &'static str {
    "# log q(z|x) - log p(z): the KL divergence has no closed form.\n\
     log_p = normal_log_prob(z.unsqueeze(1), means, logvars).sum(dim=2).logsumexp(dim=1) - math.log(len(means))\n\
     return normal_log_prob(z, mean, logvar).sum(dim=1) - log_p"
}

/// A mixture whose components are a parameter.
#[derive(Debug)]
struct Learned(Mixture);

impl PriorState for Learned {
    fn part(&self) -> &Part {
        self.0.part()
    }

    fn prepare(&self) -> Result<Vec<Dispatch>, Error> {
        Ok(vec![self.0.prepare()?])
    }

    fn forward(&self, at: At<'_>, z: &Tensor, kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        self.0.forward(at, z, kl)
    }

    fn backward_z(&self, at: At<'_>, z: &Tensor) -> Result<Option<Dispatch>, Error> {
        self.0.backward_z(at, z).map(Some)
    }

    fn backward(&self, at: At<'_>, objective: &Part, z: &Tensor, gradients: &Arena) -> Result<Vec<Dispatch>, Error> {
        Ok(vec![self.0.backward_components(at, objective, z, &gradients.get(PARAMETER))?])
    }

    fn sample(&self, at: At<'_>, z: &Tensor) -> Result<Dispatch, Error> {
        self.0.sample(at, z)
    }
}

/// The part for the slot `prior` of the posterior's kernels: `log q(z|x)`, latent by latent, from which
/// [`Mixture::combine`] subtracts `log p(z)`. The gradient of `-log p(z)` comes from `dz`, `(rows, L)`.
pub(crate) fn part(dz: &Tensor) -> Part {
    Part::new(PART).bind("prior_dz", dz)
}

/// A mixture of `M` normals with its tensors.
#[derive(Debug)]
pub(crate) struct Mixture {
    gpu: Gpu,
    part: Part,
    logvar_range: Option<LogvarRange>,
    /// `(M, 2L)`: the means and then the log variances.
    pub components: Tensor,
    /// `(M, L)`, the components' means.
    pub means: Tensor,
    /// `(M, L)`, `exp(-v)`.
    pub precisions: Tensor,
    /// `(M)`, the log density of each component at its mean, in nats.
    pub log_scales: Tensor,
    /// `(rows, M)`, until [`Mixture::combine`] replaces them by the responsibilities.
    pub scores: Tensor,
    /// `(rows, L)`, the gradient of `-log p(z)`; without rows if no backward pass follows.
    pub dz: Tensor,
}

impl Mixture {
    /// Makes the tensors for components `(M, 2L)`, whose log variances are clamped as the posterior's are.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(context: PriorContext<'_>, components: &Tensor) -> Result<Mixture, Error> {
        let PriorContext { gpu, rows, latents, trains, .. } = context;
        let count = components.rows();
        let dz = Tensor::zeros(gpu, if trains { rows } else { 0 }, latents)?;
        Ok(Mixture {
            gpu: gpu.clone(),
            part: part(&dz),
            logvar_range: context.posterior.logvar_range,
            components: components.clone(),
            means: Tensor::zeros(gpu, count, latents)?,
            precisions: Tensor::zeros(gpu, count, latents)?,
            log_scales: Tensor::zeros(gpu, 1, count)?,
            scores: Tensor::zeros(gpu, rows, count)?,
            dz,
        })
    }

    /// The part for the slot `prior` of the posterior's kernels, with [`Mixture::dz`].
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// `(rows, M)`, the responsibilities: they take the place of the scores.
    fn responsibilities(&self) -> &Tensor {
        &self.scores
    }

    /// Records the dispatches after the draws from the posterior.
    ///
    /// # Errors
    ///
    /// As [`Mixture::score`].
    pub fn forward(&self, at: At<'_>, z: &Tensor, kl: &Tensor) -> Result<Vec<Dispatch>, Error> {
        Ok(vec![self.score(at, z)?, self.combine(at, kl)?])
    }

    /// Records the values that depend only on the components: `precisions = exp(-v)`,
    /// `log_scales[c] = -1/2 sum_l (log(2 pi) + v[c, l])`.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernel cannot be made.
    pub fn prepare(&self) -> Result<Dispatch, Error> {
        let part = self
            .of_components(PREPARE)
            .bind("means", &self.means)
            .bind("precisions", &self.precisions)
            .bind("log_scales", &self.log_scales);
        self.gpu.launch(part, "prepare")?.over([self.components.rows(), 1, 1])
    }

    /// Records each row's log density under each component, in nats.
    ///
    /// `scores[row, c] = log_scales[c] - 1/2 sum_l (z - m[c, l])^2 precisions[c, l]`
    ///
    /// # Shapes
    ///
    /// - `z`: `(rows, L)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `z` has another shape; [`Error::Limit`] if the rows exceed the adapter's grid.
    pub fn score(&self, at: At<'_>, z: &Tensor) -> Result<Dispatch, Error> {
        self.check(z)?;
        let part = self
            .kernel(SCORE)
            .bind("z", z)
            .bind("means", &self.means)
            .bind("precisions", &self.precisions)
            .bind("log_scales", &self.log_scales)
            .bind("scores", &self.scores);
        let launch = at.launch(part, "score")?;
        let threads = z.rows().div_ceil(launch.constant(ROWS)?);
        launch.over([self.components.rows(), threads, 1])
    }

    /// Records `log p(z) = log sum_c exp(scores[c]) - log M`. The share of each latent in the KL divergence, so far
    /// `log q(z|x)`, is reduced by `log p(z) / L`. The scores become responsibilities.
    ///
    /// # Shapes
    ///
    /// - `kl`: `(rows, L)`
    ///
    /// # Errors
    ///
    /// As [`Mixture::score`].
    pub fn combine(&self, at: At<'_>, kl: &Tensor) -> Result<Dispatch, Error> {
        self.check(kl)?;
        let part = self.kernel(COMBINE).size("L", self.means.columns()).bind("scores", &self.scores).bind("kl", kl);
        at.launch(part, "combine")?.over_groups([kl.rows(), 1, 1])
    }

    /// Records the gradient of `-log p(z)` with respect to `z`, for the slot `prior`.
    ///
    /// `dz[row, l] = sum_c responsibilities[row, c] (z[row, l] - m[c, l]) precisions[c, l]`
    ///
    /// # Errors
    ///
    /// As [`Mixture::score`].
    pub fn backward_z(&self, at: At<'_>, z: &Tensor) -> Result<Dispatch, Error> {
        self.check(z)?;
        let part = self
            .kernel(BACKWARD_Z)
            .bind("z", z)
            .bind("means", &self.means)
            .bind("precisions", &self.precisions)
            .bind("responsibilities", self.responsibilities())
            .bind("prior_dz", &self.dz);
        let launch = at.launch(part, "backward_z")?;
        let [width, ..] = launch.workgroup_size();
        let groups = z.rows().div_ceil(launch.constant(ROWS)?);
        launch.over_groups([(z.stride() / 4).div_ceil(width), groups, 1])
    }

    /// Records the gradient of the loss with respect to the components, from the responsibilities and the KL weight
    /// that the objective gives to each row. An objective must weight all latents equally: `log p(z)` is not a sum over
    /// them.
    ///
    /// # Shapes
    ///
    /// - `z`: `(rows, L)`
    /// - `dcomponents`: `(M, 2L)`
    ///
    /// # Errors
    ///
    /// As [`Mixture::score`].
    pub fn backward_components(
        &self,
        at: At<'_>,
        objective: &Part,
        z: &Tensor,
        dcomponents: &Tensor,
    ) -> Result<Dispatch, Error> {
        self.check(z)?;
        let part = self
            .of_components(BACKWARD_COMPONENTS)
            .fill("objective", objective)
            .bind("z", z)
            .bind("responsibilities", self.responsibilities())
            .bind("dnormals", dcomponents);
        let threads = [z.stride() / 4, self.components.rows().div_ceil(4), 1];
        at.launch(part, "backward_components")?.over(threads)
    }

    /// Records draws from the mixture into `z`, `(B, L)`, with noise keyed by the step.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the batch is larger than the adapter's grid.
    pub fn sample(&self, at: At<'_>, z: &Tensor) -> Result<Dispatch, Error> {
        at.launch(self.of_components(DRAW).bind("z", z), "draw")?.over([z.stride() / 4, z.rows(), 1])
    }

    /// A kernel that reads the components as they are.
    fn of_components(&self, source: Source) -> Part {
        parameters(self.kernel(source), self.logvar_range, &self.components)
    }

    /// A kernel with the number of components.
    fn kernel(&self, source: Source) -> Part {
        Part::new(source).size("COMPONENTS", self.components.rows())
    }

    /// Checks the shape of a tensor with a row for each draw and a column for each latent.
    fn check(&self, tensor: &Tensor) -> Result<(), Error> {
        require_shapes("a mixture's density", [[self.scores.rows(), self.means.columns()]], [tensor.shape()])
    }
}
