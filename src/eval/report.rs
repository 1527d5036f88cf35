//! Everything that papers report of a model on a set of images.

use std::f64::consts::LN_2;
use std::ops::ControlFlow;

use serde::Serialize;

use super::{Evaluation, ImportanceEstimate, LossWeights, estimate, mutual_information};
use crate::Error;
use crate::data::{Examples, Sentences};
use crate::error::require;
use crate::objective::ObjectiveConfig;
use crate::step::metrics::Averages;
use crate::vae::{Network, Vae};

/// The most importance samples of an example: more than anybody uses, and f32 can still sum their weights.
const MOST_SAMPLES: usize = 1 << 20;

/// What to evaluate.
#[derive(Clone, Copy, Debug)]
pub struct ReportRequest {
    /// The batch size.
    pub batch_size: usize,
    /// Samples of each example for the estimate of log p(x), if it is requested.
    pub importance_samples: Option<usize>,
    /// Seeds the noise, and the draws that binarise grey images.
    pub seed: u64,
}

/// The evaluation of a model on a set of images, in nats per example.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of images.
    pub examples: usize,
    /// Posterior samples of each image. `elbo`, `nll` and `kl` are means over them.
    pub samples: usize,
    /// The evidence lower bound, `-nll - kl`; larger is better.
    pub elbo: f64,
    /// The negative log likelihood, `-log p(x|z)`.
    pub nll: f64,
    /// The KL divergence from the posterior to the prior.
    pub kl: f64,
    /// Whether `kl` is the sample estimate `log q(z|x) - log p(z)`, not the closed form.
    pub kl_is_estimate: bool,
    /// The estimate of log p(x) by importance sampling, if it was requested.
    pub log_prob: Option<LogProb>,
    /// `-log p(x)` in bits per dimension, from `log_prob`, or else an upper bound from `elbo`; only if the likelihood
    /// is discrete. The dimensions are all values of an image, `D = height * width * channels`.
    pub bits_per_dim: Option<f64>,
    /// What is said of text; only for sentences.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextReport>,
    /// Whether `nll`, and every value computed from it, comes from a log likelihood: not for Bernoulli on grey pixels.
    pub is_log_likelihood: bool,
    /// The KL divergence of each latent, if the prior gives a closed form.
    pub kl_per_latent: Option<Vec<f64>>,
    /// The variance of each latent's posterior mean over the images: above 0.01, the latent is active.
    pub mean_variance_per_latent: Vec<f64>,
    /// Latents whose posterior mean has a variance above 0.01 over the images.
    pub active_units: usize,
    /// The number of latents.
    pub latents: usize,
    /// The estimate for each image.
    #[serde(skip)]
    pub estimate: Option<ImportanceEstimate>,
}

/// What is said of text, from the same value as bits per dimension.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TextReport {
    /// `exp(-log p(x) / tokens)`: all words count, and the end of each sentence, but neither the token before the first word nor what
    /// fills a batch up.
    pub perplexity: f64,
    /// The tokens that it counts.
    pub tokens: usize,
    /// Of them, words that the vocabulary does not have: they count as one word.
    pub unknown: usize,
    /// Bits for each character of the sentences as they are shown, with the end of each line.
    pub bits_per_character: f64,
    /// The mutual information of sentences and latents, in nats, over all of them.
    pub mutual_information: f64,
}

impl TextReport {
    fn of(vae: &Vae, sentences: &Sentences, log_prob: f64, seed: u64) -> Result<TextReport, Error> {
        let (total, tokens) = (-log_prob * sentences.count() as f64, sentences.positions());
        let characters: usize =
            (0..sentences.count()).map(|sentence| sentences.text(sentence).chars().count() + 1).sum();
        let latents = vae.model().config.latents;
        Ok(TextReport {
            perplexity: (total / tokens as f64).exp(),
            tokens,
            unknown: sentences.unknown(),
            bits_per_character: total / LN_2 / characters as f64,
            mutual_information: mutual_information(&vae.encode(sentences, seed)?, latents, seed),
        })
    }
}

/// The mean of the estimates of log p(x).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LogProb {
    /// The mean over the images, in nats.
    pub mean: f64,
    /// Its standard error over the images; none for one image.
    pub standard_error: Option<f64>,
    /// Importance samples of each image, K.
    pub importance_samples: usize,
}

/// Evaluates a model on a set of images. `on_update` gets the fraction of the estimate that is done; if it breaks, the
/// result is `None`.
///
/// ```
/// use std::ops::ControlFlow;
/// # use elbo::config::ModelConfig;
/// # use elbo::data::{ImageShape, Images};
/// use elbo::eval::{ReportRequest, report};
/// # use elbo::vae::Model;
/// # use elbo::{AdapterRequest, Gpu, Vae};
///
/// # fn main() -> Result<(), elbo::Error> {
/// # let gpu = Gpu::open(&AdapterRequest::default())?;
/// # let config = ModelConfig { latents: 2, ..ModelConfig::default() };
/// # let vae = Vae::new(&gpu, Model { data: ImageShape::grey(4, 4).into(), config }, 0)?;
/// # let images = Images::new([[0; 8], [255; 8]].concat().repeat(3), 3, ImageShape::grey(4, 4))?;
/// let request = ReportRequest { batch_size: 100, importance_samples: Some(50), seed: 0 };
/// if let Some(report) = report(&vae, &images, request, |_done| ControlFlow::Continue(()))? {
///     println!("ELBO {:.1} nats, {} of {} latents active", report.elbo, report.active_units, report.latents);
///     if let Some(log_prob) = report.log_prob {
///         println!("log p(x) {:.1} +- {:.1?} nats", log_prob.mean, log_prob.standard_error);
///         assert!(log_prob.mean > report.elbo); // the ELBO is a lower bound
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Config`] for an invalid number of samples; the errors of [`Evaluation::new`], [`Evaluation::run`] and
/// [`estimate`].
pub fn report<'a>(
    vae: &Vae,
    examples: impl Into<Examples<'a>>,
    request: ReportRequest,
    on_update: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<Report>, Error> {
    let ReportRequest { batch_size, importance_samples, seed } = request;
    let samples = importance_samples.unwrap_or(1);
    require("--importance-samples", (1..=MOST_SAMPLES).contains(&samples), "a number from 1 to 1048576", samples)?;
    require("--batch-size", batch_size > 0, "at least 1", batch_size)?;
    let model = &vae.model().config;
    let examples = examples.into();
    let batch_size = batch_size.min(examples.count()).min(Network::most_examples(vae, 1));
    let described = vae.model().describe("evaluating a model", examples, "given")?;
    let network = Network::evaluation(vae, batch_size, &ObjectiveConfig::default())?;
    let mut evaluation = Evaluation::new(vae, &network, described, LossWeights::default(), seed)?;
    let mut averages = evaluation.run()?;
    let statistics = evaluation.latents()?;
    let estimate = match importance_samples {
        None => None,
        Some(samples) => match estimate(vae, described, samples, seed, on_update)? {
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
    let is_log_likelihood =
        examples.images().is_none_or(|images| model.likelihood.is_log_likelihood_of(images, model.binarize));
    let of_bits = log_prob.map_or(elbo, |log_prob| log_prob.mean);
    let bits_per_dim = examples.images().map(|images| -of_bits / (LN_2 * images.dimensions() as f64));
    Ok(Some(Report {
        examples: examples.count(),
        samples,
        elbo,
        nll,
        kl,
        // Importance weights need the KL estimate of each sample.
        kl_is_estimate: estimate.is_some() || model.kl_is_estimate(),
        log_prob,
        bits_per_dim: bits_per_dim.filter(|_| model.likelihood.is_discrete() && is_log_likelihood),
        text: examples.sentences().map(|sentences| TextReport::of(vae, sentences, of_bits, seed)).transpose()?,
        is_log_likelihood,
        active_units: statistics.active_units(),
        kl_per_latent: (!model.kl_is_estimate()).then_some(statistics.kl),
        mean_variance_per_latent: statistics.mean_variance,
        latents: model.latents,
        estimate,
    }))
}
