//! Posteriors q(z|x): the distributions that the encoder describes.
//!
//! A posterior is an implementation of [`Reparameterised`] in a file of its own, with its WGSL files at the same path. To add
//! one, write these, and add a variant to [`Posterior`] and an arm to [`PosteriorConfig::distribution`].

pub mod normal;

use std::fmt::{self, Debug};
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gpu::{Dispatch, Part, Tensor};
use crate::graph::{Graph, Value};
use crate::nn::{Dense, Epilogue, Recording};
use crate::step::At;
use normal::Normal;

/// The approximate posterior of the latents. There is no flag for it as long as there is only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Posterior {
    /// Normal with a diagonal covariance.
    #[default]
    Normal,
}

/// The posterior and its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct PosteriorConfig {
    /// The kind of posterior.
    #[arg(skip)]
    #[serde(skip)]
    pub posterior: Posterior,
    /// Clamp the log variances of the posterior and of a mixture's components to a range, as -6,2; values outside have no
    /// gradient [default: none]
    #[arg(long, value_name = "MIN,MAX", allow_hyphen_values = true, help_heading = "Data and model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logvar_range: Option<LogvarRange>,
}

impl PosteriorConfig {
    /// The posterior with its kernels: the only place that lists them all.
    pub fn distribution(&self) -> Box<dyn Reparameterised> {
        match self.posterior {
            Posterior::Normal => Box::new(Normal { logvar_range: self.logvar_range }),
        }
    }
}

/// The tensors of the draws from a posterior, for one batch.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    /// The part for the slot `prior`: the KL divergence from the posterior to the prior.
    pub prior: &'a Part,
    /// The encoder's output, `(B, outputs)`.
    pub outputs: &'a Tensor,
    /// The draws, `(B * samples, L)`. The samples of an example are consecutive rows.
    pub z: &'a Tensor,
}

/// The products around the draws.
#[derive(Clone, Copy, Debug)]
pub struct Bottleneck<'a> {
    /// The encoder's last hidden values, `(B, H)`.
    pub hidden: &'a Tensor,
    /// The layer that makes the encoder's output from them.
    pub encoder: &'a Dense,
    /// The decoder's first layer.
    pub decoder: &'a Dense,
    /// What happens to the result: that of the decoder's product, or the gradient with respect to the hidden values.
    pub epilogue: &'a Epilogue,
}

/// A posterior as kernels: draws that are a differentiable function of its parameters and of noise.
pub trait Reparameterised: Debug {
    /// Numbers that the encoder outputs for the given number of latents. The first ones are the mean.
    fn outputs(&self, latents: usize) -> usize;

    /// The mean and the log variance of each latent, from the outputs for one example.
    fn mean_and_logvar(&self, outputs: &[f32]) -> [Vec<f32>; 2];

    /// Adds the mean and the log variance of each latent to a graph, from the outputs for a batch.
    fn describe(&self, graph: &mut Graph, outputs: Value, latents: usize) -> [Value; 2];

    /// Records the draws, with noise keyed by the step, and the KL divergence from the posterior to the prior for each.
    ///
    /// # Shapes
    ///
    /// - `kl`: `(B * samples, L)`, in nats, latent by latent
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes do not fit.
    fn draw(&self, at: At<'_>, draws: Draws<'_>, kl: &Tensor) -> Result<Dispatch, Error>;

    /// Records the draws together with the products around them, if there is a kernel for that: from the last hidden values of the
    /// encoder to the decoder's first product. It has one sample of each example.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes do not fit.
    fn bottleneck(
        &self,
        recording: Recording<'_>,
        draws: Draws<'_>,
        kl: &Tensor,
        around: &Bottleneck<'_>,
    ) -> Result<Option<Dispatch>, Error>;

    /// Records the gradient through the same layers, if there is a kernel for that: from the gradient with respect to the output of
    /// the decoder's first product to that with respect to the encoder's last hidden values, which the epilogue of `around` gets.
    /// The conditions are those of [`Reparameterised::backward_epilogue`]. The gradients of the parameters are not part of it.
    ///
    /// # Shapes
    ///
    /// - `doutput`: `(B, outputs)` of the decoder's first layer
    /// - `doutputs`: `(B, outputs)` of the encoder
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes do not fit.
    fn bottleneck_backward(
        &self,
        recording: Recording<'_>,
        draws: Draws<'_>,
        doutput: &Tensor,
        doutputs: &Tensor,
        around: &Bottleneck<'_>,
    ) -> Result<Option<Dispatch>, Error>;

    /// The epilogue of the product that makes `dz`, in the layer whose input is `z`: passes the gradient on to the
    /// encoder's output, and adds the gradient of `kl_weight` times the mean KL divergence over the batch. It requires
    /// one sample of each example, the ELBO as the objective, and a KL divergence in closed form.
    ///
    /// # Shapes
    ///
    /// - `doutputs`: `(B, outputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes do not fit.
    fn backward_epilogue(&self, at: At<'_>, draws: Draws<'_>, doutputs: &Tensor) -> Result<Epilogue, Error>;

    /// Records the gradient with respect to the encoder's output from `dz`, the gradient with respect to the draws, for
    /// any number of samples, objective and prior.
    ///
    /// # Shapes
    ///
    /// - `dz`: `(B * samples, L)`
    /// - `doutputs`: `(B, outputs)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes do not fit.
    fn backward(
        &self,
        at: At<'_>,
        draws: Draws<'_>,
        objective: &Part,
        dz: &Tensor,
        doutputs: &Tensor,
    ) -> Result<Dispatch, Error>;
}

/// The range that the log variances of the posterior and of a mixture's components are clamped to: values outside are moved to
/// the nearer end, and have no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogvarRange {
    /// The smallest log variance.
    pub min: f32,
    /// The largest log variance.
    pub max: f32,
}

impl LogvarRange {
    /// The clamped log variance; NaN stays NaN.
    pub fn clamp(self, logvar: f32) -> f32 {
        if logvar < self.min {
            self.min
        } else if logvar > self.max {
            self.max
        } else {
            logvar
        }
    }
}

impl FromStr for LogvarRange {
    type Err = String;

    fn from_str(text: &str) -> Result<LogvarRange, String> {
        let parsed = text.split_once(',').and_then(|(min, max)| {
            let range = LogvarRange { min: min.trim().parse().ok()?, max: max.trim().parse().ok()? };
            (range.min.abs() < 1e3 && range.max.abs() < 1e3 && range.min < range.max).then_some(range)
        });
        parsed.ok_or_else(|| format!("expected two numbers, the smaller one first, as in -6,2, found `{text}`"))
    }
}

impl fmt::Display for LogvarRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_in_order() {
        let range = LogvarRange { min: -6.0, max: 2.0 };
        assert_eq!("-6, 2".parse(), Ok(range));
        assert_eq!(range.to_string().parse(), Ok(range));
        for wrong in ["", "2", "2,-6", "1,1", "a,b", "-inf,2", "NaN,2", "0,1,2"] {
            assert!(wrong.parse::<LogvarRange>().is_err_and(|message| message.contains(&format!("`{wrong}`"))));
        }
        assert_eq!([-7.0, -6.0, 0.5, 3.0].map(|logvar| range.clamp(logvar)), [-6.0, -6.0, 0.5, 2.0]);
        assert!(range.clamp(f32::NAN).is_nan());
    }
}
