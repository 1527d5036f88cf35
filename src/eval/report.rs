//! All that is known of a model on a set of images, as papers report it.

use std::f64::consts::LN_2;
use std::ops::ControlFlow;

use serde::Serialize;

use super::{Evaluation, ImportanceEstimate, LossWeights, estimate};
use crate::Error;
use crate::data::Images;
use crate::error::require;
use crate::metrics::Averages;
use crate::objective::ObjectiveConfig;
use crate::vae::{Network, Vae};

/// The most importance samples of an example: more than anybody takes, and f32 still adds up their weights.
const MOST_SAMPLES: usize = 1 << 20;

/// What to find out.
#[derive(Clone, Copy, Debug)]
pub struct ReportRequest {
    /// Examples at a time.
    pub batch_size: usize,
    /// Samples of each example for the estimate of log p(x), if it is wanted.
    pub importance_samples: Option<usize>,
    /// Seeds the noise, and the draws that make grey images black and white.
    pub seed: u64,
}

/// A model on a set of images, in nats per example.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of images.
    pub examples: usize,
    /// Posterior samples of each image that the next three are the means over.
    pub samples: usize,
    /// The evidence lower bound, `-nll - kl`; larger is better.
    pub elbo: f64,
    /// The negative log likelihood, `-log p(x|z)`.
    pub nll: f64,
    /// The KL divergence from the posterior to the prior.
    pub kl: f64,
    /// Whether `kl` is the sample estimate `log q(z|x) - log p(z)`, not the closed form.
    pub kl_is_estimate: bool,
    /// The estimate of log p(x) by importance sampling, if it was asked for.
    pub log_prob: Option<LogProb>,
    /// `-log p(x)` in bits for each dimension, from `log_prob` or else from `elbo` (of which it is then a bound); only where
    /// the likelihood is one of discrete data.
    pub bits_per_dim: Option<f64>,
    /// Whether `nll`, and all that is made of it, is the likelihood of data at all: not for Bernoulli on grey pixels.
    pub is_log_likelihood: bool,
    /// Each latent's KL divergence, where the prior says so much.
    pub kl_per_latent: Option<Vec<f64>>,
    /// Latents whose posterior mean has a variance above 0.01 over the images.
    pub active_units: usize,
    /// The number of latents.
    pub latents: usize,
    /// The estimate of each image.
    #[serde(skip)]
    pub estimate: Option<ImportanceEstimate>,
}

/// The mean of the estimates of log p(x).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LogProb {
    /// The mean over the images, in nats.
    pub mean: f64,
    /// Its standard error over the images.
    pub standard_error: f64,
    /// Importance samples of each image, K.
    pub importance_samples: usize,
}

/// Evaluates a model on a set of images. `on_update` is told how much of the estimate is done; if it breaks, nothing is
/// returned.
///
/// # Errors
///
/// [`Error::Config`] for a number of samples that cannot be; those of [`Evaluation::new`], [`Evaluation::run`] and
/// [`estimate`].
pub fn report(
    vae: &Vae,
    images: &Images,
    request: ReportRequest,
    on_update: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<Report>, Error> {
    let ReportRequest { batch_size, importance_samples, seed } = request;
    let samples = importance_samples.unwrap_or(1);
    require("--importance-samples", (1..=MOST_SAMPLES).contains(&samples), "a number from 1 to 1048576", samples)?;
    require("--batch-size", batch_size > 0, "at least 1", batch_size)?;
    let model = &vae.model().config;
    let batch_size = batch_size.min(images.count()).min(Network::most_examples(vae, 1));
    let network = Network::new(vae, batch_size, &ObjectiveConfig::default())?;
    let mut evaluation = Evaluation::new(vae, &network, images, LossWeights::default(), seed)?;
    let mut averages = evaluation.run()?;
    let statistics = evaluation.latents()?;
    let estimate = match importance_samples {
        None => None,
        Some(samples) => match estimate(vae, images, samples, seed, on_update)? {
            None => return Ok(None),
            Some(estimate) => {
                averages = estimate.averages;
                Some(estimate)
            }
        },
    };
    let log_prob = estimate.as_ref().map(|estimate| LogProb {
        mean: estimate.mean(),
        standard_error: estimate.standard_error(),
        importance_samples: estimate.samples,
    });
    let Averages { elbo, nll, kl, .. } = averages;
    let is_log_likelihood = model.likelihood.likelihood.is_log_likelihood_of(images, model.binarize);
    let of_bits = log_prob.map_or(elbo, |log_prob| log_prob.mean);
    let bits_per_dim = -of_bits / (LN_2 * images.dimensions() as f64);
    Ok(Some(Report {
        examples: images.count(),
        samples,
        elbo,
        nll,
        kl,
        // Importance weights need the sample's own.
        kl_is_estimate: estimate.is_some() || model.kl_is_estimate(),
        log_prob,
        bits_per_dim: (model.likelihood.likelihood.is_discrete() && is_log_likelihood).then_some(bits_per_dim),
        is_log_likelihood,
        active_units: statistics.active_units(),
        kl_per_latent: (!model.kl_is_estimate()).then_some(statistics.kl),
        latents: model.latents,
        estimate,
    }))
}
