//! The diagonal normal posterior, its reparameterisation and its KL divergence from a prior. The twin of
//! `shaders/posterior/normal.wgsl` and of the files below it.
//!
//! The prior fills the slot `prior` of all three: it says what a latent's KL divergence is, and what its gradients are.

use super::LogvarRange;
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::nn::Epilogue;

const DRAW: Source = source!("posterior/normal.wgsl");
const BACKWARD: Source = source!("posterior/normal/backward.wgsl");
const SAMPLES: Source = source!("posterior/normal/samples.wgsl");

/// The draws from the posterior for one batch: what the kernels of both directions share.
pub struct Draws<'a> {
    /// The GPU.
    pub gpu: &'a Gpu,
    /// The step under way, which keys the noise.
    pub step: &'a Tensor,
    /// Draws an example.
    pub samples: usize,
    /// The range of the log variance, if it is held to one.
    pub logvar_range: Option<LogvarRange>,
    /// The KL divergence from the prior.
    pub prior: &'a Part,
    /// What the encoder puts out, `(B, 2L)`: the mean and then the log variance.
    pub posterior: &'a Tensor,
    /// The draws, `(B * samples, L)`, those of an example one after the other.
    pub z: &'a Tensor,
}

impl Draws<'_> {
    /// Records the draws, with noise keyed by the step, and the KL divergence of each from the prior.
    ///
    /// `z = mean + exp(logvar / 2) * noise`
    ///
    /// # Shapes
    ///
    /// - `kl`: `(B * samples, L)`, in nats, latent by latent
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors have other shapes.
    ///
    /// # Source
    ///
    /// Kingma & Welling 2014, section 2.4.
    pub fn draw(&self, kl: &Tensor) -> Result<Dispatch, Error> {
        self.check("drawing from the posterior", &[kl], &[])?;
        let tensors = [("step", self.step), ("posterior", self.posterior), ("z", self.z), ("kl", kl)];
        self.dispatch((&DRAW, "draw"), &tensors, &[("prior", self.prior)], self.z.rows())
    }

    /// The epilogue of the product that makes `dz`, in the layer whose input is `z`: takes the gradient on to the posterior,
    /// and adds that of `kl_weight` times the mean of the KL divergence over the batch. It is for one sample an example,
    /// the ELBO, and a KL divergence in closed form.
    ///
    /// `dmean = dz + w * dkl / dmean`, `dlogvar = dz * (z - mean) / 2 + w * dkl / dlogvar`, `w = kl_weight / rows`
    ///
    /// `z - mean` is `exp(logvar / 2) * noise`, off by the rounding of `z`: the gradient is then off by half a unit in the
    /// last place of `z`, times `dz`, however small the standard deviation is.
    ///
    /// # Shapes
    ///
    /// - `dposterior`: `(B, 2L)`, the mean's part and then the log variance's
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    pub fn backward_epilogue(&self, dposterior: &Tensor) -> Result<Epilogue, Error> {
        self.check("the posterior's gradient", &[], &[dposterior])?;
        let tensors = [("posterior", self.posterior), ("dposterior", dposterior)];
        let source = BACKWARD.with("prior", self.prior.source());
        Ok(Epilogue::new(source, [self.z.rows(), self.z.columns()], &self.overrides(), &tensors))
    }

    /// Records the gradient of the posterior from that of its draws, for any number of samples, objective and prior.
    ///
    /// `g = dz + w * dkl / dz`, `dmean = sum_k (g + w * dkl / dmean)`,
    /// `dlogvar = sum_k (g * (z - mean) / 2 + w * dkl / dlogvar)`, with the weight `w` that the objective gives to the row;
    /// or the doubly reparameterised gradient, as the shader has it.
    ///
    /// # Shapes
    ///
    /// - `dz`: `(B * samples, L)`
    /// - `dposterior`: `(B, 2L)`, the mean's part and then the log variance's
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    ///
    /// # Source
    ///
    /// Tucker et al. 2019, "Doubly reparameterized gradient estimators for Monte Carlo objectives", equation 8.
    pub fn backward(&self, objective: &Part, dz: &Tensor, dposterior: &Tensor) -> Result<Dispatch, Error> {
        self.check("the posterior's gradient", &[dz], &[dposterior])?;
        let tensors =
            [("step", self.step), ("posterior", self.posterior), ("z", self.z), ("dz", dz), ("dposterior", dposterior)];
        let parts = [("prior", self.prior), ("objective", objective)];
        self.dispatch((&SAMPLES, "backward"), &tensors, &parts, self.posterior.rows())
    }

    fn dispatch(
        &self,
        kernel: (&Source, &str),
        tensors: &[(&str, &Tensor)],
        parts: &[(&'static str, &Part)],
        rows: usize,
    ) -> Result<Dispatch, Error> {
        let mut overrides = self.overrides();
        overrides.push(("SAMPLES", self.samples as f64));
        let threads = [self.z.columns().div_ceil(4), rows, 1];
        Dispatch::with_parts(self.gpu, kernel, &overrides, tensors, parts, threads)
    }

    fn overrides(&self) -> Vec<(&'static str, f64)> {
        [("L", self.z.columns() as f64)].into_iter().chain(LogvarRange::overrides(self.logvar_range)).collect()
    }

    /// Checks the shapes of both operands, of what has those of `z`, and of what has those of the posterior.
    fn check(&self, operation: &'static str, like_z: &[&Tensor], like_posterior: &[&Tensor]) -> Result<(), Error> {
        let shape = |tensor: &Tensor| (tensor.rows(), tensor.columns());
        let (rows, latents) = shape(self.z);
        let (examples, columns) = shape(self.posterior);
        let fits = (rows, 2 * latents) == (examples * self.samples, columns)
            && like_z.iter().all(|tensor| shape(tensor) == (rows, latents))
            && like_posterior.iter().all(|tensor| shape(tensor) == (examples, columns));
        if fits {
            return Ok(());
        }
        let others: Vec<_> = like_z.iter().chain(like_posterior).map(|tensor| shape(tensor)).collect();
        Err(Error::Shape {
            operation,
            expected: format!("(B, 2L) and (B * {}, L), and like these", self.samples),
            found: format!("({examples}, {columns}) and ({rows}, {latents}), and {others:?}"),
        })
    }
}
