//! Mixtures of normals with equal weights as priors, `p(z) = 1/M sum_c N(z; m_c, exp(v_c))`: the sample estimate of the KL
//! divergence, its gradients, and draws. The twin of `shaders/prior/mixture.wgsl` and of the files below it.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::posterior::LogvarRange;

const PART: Source = source!("prior/mixture.wgsl");
const PREPARE: Source = source!("prior/mixture/prepare.wgsl");
const SCORE: Source = source!("prior/mixture/score.wgsl");
const COMBINE: Source = source!("prior/mixture/combine.wgsl");
const BACKWARD_Z: Source = source!("prior/mixture/backward_z.wgsl");
const BACKWARD_COMPONENTS: Source = source!("prior/mixture/backward_components.wgsl");
const SAMPLE: Source = source!("prior/mixture/sample.wgsl");

/// The most components: a draw of 32 bits chooses one of them, in halves.
pub(crate) const MOST_COMPONENTS: usize = 1 << 16;

/// Rows that a thread of `score` takes, and a workgroup of `backward_z`: the constant `ROWS` of each.
const ROWS: &str = "ROWS";

/// What fills the slot `prior`, with the gradient of `-log p(z)` by the draws, `(rows, L)`.
pub(crate) fn part(dz: &Tensor) -> Part {
    Part::new(PART, &[], &[("prior_dz", dz)])
}

/// A mixture of `M` normals with its tensors for up to `rows` draws, of which each example has `samples`.
pub(crate) struct Mixture {
    gpu: Gpu,
    samples: usize,
    logvar_range: Option<LogvarRange>,
    /// `(M, 2L)`: the means and then the log variances.
    pub components: Tensor,
    /// `(M, L)`, the components' means.
    pub means: Tensor,
    /// `(M, L)`, `exp(-v)`.
    pub precisions: Tensor,
    /// `(M)`, what each component's log density is at its mean.
    pub log_scales: Tensor,
    /// `(rows, M)`, first the scores and then the components' responsibilities.
    pub scores: Tensor,
    /// `(rows, L)`, the gradient of `-log p(z)`.
    pub dz: Tensor,
}

impl Mixture {
    /// Makes the tensors; the log variances of the components, `(M, 2L)`, are held to the range, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(
        gpu: &Gpu,
        components: &Tensor,
        logvar_range: Option<LogvarRange>,
        rows: usize,
        samples: usize,
    ) -> Result<Mixture, Error> {
        let (count, latents) = (components.rows(), components.columns() / 2);
        Ok(Mixture {
            gpu: gpu.clone(),
            samples,
            logvar_range,
            components: components.clone(),
            means: Tensor::zeros(gpu, count, latents)?,
            precisions: Tensor::zeros(gpu, count, latents)?,
            log_scales: Tensor::zeros(gpu, 1, count)?,
            scores: Tensor::zeros(gpu, rows, count)?,
            dz: Tensor::zeros(gpu, rows, latents)?,
        })
    }

    /// What fills the slot `prior` of the posterior's kernels: `log q(z|x)`, latent by latent. [`Mixture::combine`] takes
    /// `log p(z)` from it.
    pub fn part(&self) -> Part {
        part(&self.dz)
    }

    /// Records what depends on the components alone: `precisions = exp(-v)`,
    /// `log_scales[c] = -1/2 sum_l (log(2 pi) + v[c, l])`.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernel cannot be made.
    pub fn prepare(&self) -> Result<Dispatch, Error> {
        let tensors = [
            ("components", &self.components),
            ("means", &self.means),
            ("precisions", &self.precisions),
            ("log_scales", &self.log_scales),
        ];
        let kernel = self.gpu.kernel(&PREPARE, "prepare", &self.held())?;
        Dispatch::new(&self.gpu, &kernel, &tensors, [self.components.rows(), 1, 1])
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
    /// [`Error::Shape`] if `z` has another shape; [`Error::Limit`] if the rows exceed the adapter's grid.
    pub fn score(&self, step: &Tensor, z: &Tensor) -> Result<Dispatch, Error> {
        self.check(z)?;
        let tensors = [
            ("step", step),
            ("z", z),
            ("means", &self.means),
            ("precisions", &self.precisions),
            ("log_scales", &self.log_scales),
            ("scores", &self.scores),
        ];
        let kernel = self.gpu.kernel(&SCORE, "score", &self.of_rows())?;
        let groups = z.rows().div_ceil(self.gpu.shader(&SCORE)?.constant(ROWS)? as usize);
        Dispatch::new(&self.gpu, &kernel, &tensors, [self.components.rows(), groups, 1])
    }

    /// Records what the scores add up to: `log p(z) = log sum_c exp(scores[c]) - log M`, of which each latent's share of the
    /// KL divergence, `log q(z|x)` so far, loses the `L`-th part. The scores become responsibilities.
    ///
    /// # Shapes
    ///
    /// - `kl`: `(rows, L)`
    ///
    /// # Errors
    ///
    /// As [`Mixture::score`].
    pub fn combine(&self, step: &Tensor, kl: &Tensor) -> Result<Dispatch, Error> {
        self.check(kl)?;
        let kernel = self.gpu.kernel(&COMBINE, "combine", &self.of_rows())?;
        let tensors = [("step", step), ("scores", &self.scores), ("kl", kl)];
        let [lanes, ..] = kernel.workgroup_size();
        Dispatch::new(&self.gpu, &kernel, &tensors, [kl.rows() * lanes, 1, 1])
    }

    /// Records the gradient of `-log p(z)` by `z`, for the slot `prior`.
    ///
    /// `dz[row, l] = sum_c responsibilities[row, c] (z[row, l] - m[c, l]) precisions[c, l]`
    ///
    /// # Errors
    ///
    /// As [`Mixture::score`].
    pub fn backward_z(&self, step: &Tensor, z: &Tensor) -> Result<Dispatch, Error> {
        self.check(z)?;
        let tensors = [
            ("step", step),
            ("z", z),
            ("means", &self.means),
            ("precisions", &self.precisions),
            ("responsibilities", &self.scores),
            ("prior_dz", &self.dz),
        ];
        let kernel = self.gpu.kernel(&BACKWARD_Z, "backward_z", &self.of_rows())?;
        let [_, slices, _] = kernel.workgroup_size();
        let groups = z.rows().div_ceil(self.gpu.shader(&BACKWARD_Z)?.constant(ROWS)? as usize);
        Dispatch::new(&self.gpu, &kernel, &tensors, [z.columns().div_ceil(4), groups * slices, 1])
    }

    /// Records the gradient of the loss by the components, from the responsibilities and the KL weight that the objective
    /// gives to each row. An objective must weigh all latents alike: `log p(z)` is no sum over them.
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
        step: &Tensor,
        objective: &Part,
        z: &Tensor,
        dcomponents: &Tensor,
    ) -> Result<Dispatch, Error> {
        self.check(z)?;
        let tensors = [
            ("step", step),
            ("z", z),
            ("components", &self.components),
            ("responsibilities", &self.scores),
            ("dcomponents", dcomponents),
        ];
        let mut overrides = self.held();
        overrides.push(("SAMPLES", self.samples as f64));
        let threads = [z.columns().div_ceil(4), self.components.rows().div_ceil(4), 1];
        let kernel = (&BACKWARD_COMPONENTS, "backward_components");
        Dispatch::with_parts(&self.gpu, kernel, &overrides, &tensors, &[("objective", objective)], threads)
    }

    /// Records draws from the mixture into `z`, `(B, L)`, with noise keyed by the step.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the batch is larger than the adapter's grid.
    pub fn sample(&self, step: &Tensor, z: &Tensor) -> Result<Dispatch, Error> {
        let kernel = self.gpu.kernel(&SAMPLE, "sample", &self.held())?;
        let tensors = [("step", step), ("components", &self.components), ("z", z)];
        Dispatch::new(&self.gpu, &kernel, &tensors, [z.columns().div_ceil(4), z.rows(), 1])
    }

    /// The sizes, for kernels of the components: with the range of their log variances.
    fn held(&self) -> Vec<(&'static str, f64)> {
        LogvarRange::overrides(self.logvar_range).chain(self.sizes()).collect()
    }

    /// The sizes, for kernels of the rows.
    fn of_rows(&self) -> Vec<(&'static str, f64)> {
        self.sizes().into_iter().chain([("SAMPLES", self.samples as f64)]).collect()
    }

    fn sizes(&self) -> [(&'static str, f64); 2] {
        [("L", self.means.columns() as f64), ("COMPONENTS", self.components.rows() as f64)]
    }

    /// Checks the shape of what has a row for each draw, and a column for each latent.
    fn check(&self, tensor: &Tensor) -> Result<(), Error> {
        let [expected, found] = [&self.dz, tensor].map(|tensor| (tensor.rows(), tensor.columns()));
        if expected == found {
            return Ok(());
        }
        let [expected, found] = [expected, found].map(|shape| format!("{shape:?}"));
        Err(Error::Shape { operation: "a mixture's density", expected, found })
    }
}
