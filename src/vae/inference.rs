//! Inference with a trained model: encode, decode, sample, reconstruct.

use std::ops::Range;

use super::recipe::Recipe;
use super::{Network, Vae};
use crate::Error;
use crate::data::order::sequential;
use crate::data::{Examples, Images};
use crate::gpu::Tensor;
use crate::likelihood::Pixels;
use crate::noise::{self, Stream};
use crate::objective::ObjectiveConfig;
use crate::step::{self, Step};

/// The most rows that are processed at a time.
const BATCH: usize = 256;

/// The posterior of each of `N` examples, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct PosteriorParameters {
    /// `(N, L)`.
    pub mean: Vec<f32>,
    /// `(N, L)`, the log of the variance.
    pub logvar: Vec<f32>,
}

/// Rows of latents: `base`, with one latent at each of the values in turn.
pub fn sweep<'a>(
    base: &'a [f32],
    latent: usize,
    values: impl IntoIterator<Item = f32> + 'a,
) -> impl Iterator<Item = f32> + 'a {
    let row =
        move |value| base.iter().enumerate().map(move |(index, other)| if index == latent { value } else { *other });
    values.into_iter().flat_map(row)
}

impl PosteriorParameters {
    /// The KL divergence of each of `latents` latents from the standard normal, in nats: the mean over the examples.
    ///
    /// `KL = (mean^2 + exp(logvar) - logvar - 1) / 2`
    pub fn kl_from_standard_normal(&self, latents: usize) -> Vec<f64> {
        let of = |(mean, logvar): (&f32, &f32)| {
            let (mean, logvar) = (f64::from(*mean), f64::from(*logvar));
            0.5 * (mean * mean + logvar.exp() - logvar - 1.0)
        };
        let count = (self.mean.len() / latents).max(1) as f64;
        let of_latent = |latent: usize| {
            let all = self.mean.iter().zip(&self.logvar).skip(latent).step_by(latents);
            all.map(of).sum::<f64>() / count
        };
        (0..latents).map(of_latent).collect()
    }
}

impl Vae {
    /// The posterior of each example. The seed is for models that binarise grey images by draws: with a run's own, they are those that it
    /// is evaluated on.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the examples are of another kind or size than the model's; [`Error::NotFinite`] if a mean or a log
    /// variance is NaN or infinite.
    pub fn encode<'a>(&self, examples: impl Into<Examples<'a>>, seed: u64) -> Result<PosteriorParameters, Error> {
        let examples = examples.into();
        self.model.check_size("encoding", examples)?;
        let count = examples.count();
        let latents = self.model.config.latents;
        let distribution = self.model.config.posterior.distribution();
        let network = Network::evaluation(self, self.batch(count), &ObjectiveConfig::default())?;
        let on_device = self.upload(examples, Stream::BinariseEvaluation)?;
        let order = Tensor::from_values(&self.gpu, 1, count, &sequential(count))?;
        let step = Step::tensor(&self.gpu)?;
        let recipe = network.encoding_step(&on_device, &step, &order)?;
        let mut parameters = PosteriorParameters { mean: Vec::new(), logvar: Vec::new() };
        let key = noise::key(seed, Stream::Evaluation);
        let length = examples.lengths().into_iter().max().unwrap_or(0);
        let batches = Batches { rows: 0..count, key, step: &step, recipe: &recipe, length };
        self.run(batches, &network.posterior, |rows| {
            for row in rows.chunks_exact(network.posterior.columns()) {
                let [mean, logvar] = distribution.mean_and_logvar(row);
                parameters.mean.extend(mean);
                parameters.logvar.extend(logvar);
            }
        })?;
        check_finite("encoding", "means", &parameters.mean, latents)?;
        check_finite("encoding", "log variances", &parameters.logvar, latents)?;
        Ok(parameters)
    }

    /// The likelihood's mean, or a draw from it, for each of `N` latents: images `(N, D)` from `latents`, `(N, L)`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the number of values is not a multiple of the model's latents, or there are none;
    /// [`Error::NotFinite`] if a latent or a pixel is NaN or infinite.
    pub fn decode(&self, latents: &[f32], shown: Pixels) -> Result<Vec<f32>, Error> {
        let (width, dimensions) = (self.model.config.latents, self.model.image()?.dimensions());
        self.check_latents(latents)?;
        let mut images = Vec::new();
        let batch = self.batch(latents.len() / width);
        for (number, chunk) in latents.chunks(batch * width).enumerate() {
            let network = Network::evaluation(self, chunk.len() / width, &ObjectiveConfig::default())?;
            network.z.write(&self.gpu, chunk)?;
            let (step, pixels) = self.decoding_tensors(&network)?;
            let recipe = network.decoding_step(&step, shown, &pixels)?;
            // The noise of a pixel depends on the row's index among all rows.
            let first = number * batch;
            let rows = first..first + pixels.rows();
            let batches = Batches { rows, key: [0; 4], step: &step, recipe: &recipe, length: 0 };
            self.run(batches, &pixels, |rows| images.extend_from_slice(rows))?;
        }
        self.model.unstandardise(&mut images);
        check_finite("decoding latents", "images", &images, dimensions)?;
        Ok(images)
    }

    /// The likelihood's mean, or a draw from it, for `count` draws from the prior: images `(count, D)`. The same seed gives the
    /// same ones.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if a pixel is NaN or infinite; [`Error::Gpu`] if the device was lost.
    pub fn sample(&self, count: usize, seed: u64, shown: Pixels) -> Result<Vec<f32>, Error> {
        let dimensions = self.model.image()?.dimensions();
        if count == 0 {
            return Ok(Vec::new());
        }
        let network = Network::evaluation(self, self.batch(count), &ObjectiveConfig::default())?;
        let (step, pixels) = self.decoding_tensors(&network)?;
        let recipe = network.sampling_step(&step, shown, &pixels)?;
        let mut images = Vec::new();
        let key = noise::key(seed, Stream::Prior);
        let batches = Batches { rows: 0..count, key, step: &step, recipe: &recipe, length: 0 };
        self.run(batches, &pixels, |rows| images.extend_from_slice(rows))?;
        self.model.unstandardise(&mut images);
        check_finite("drawing samples", "images", &images, dimensions)?;
        Ok(images)
    }

    /// The likelihood's mean, or a draw from it, for the posterior mean of each image: `(N, D)`. The seed is that of [`Vae::encode`].
    ///
    /// # Errors
    ///
    /// As [`Vae::encode`] and [`Vae::decode`].
    pub fn reconstruct(&self, images: &Images, seed: u64, shown: Pixels) -> Result<Vec<f32>, Error> {
        self.decode(&self.encode(images, seed)?.mean, shown)
    }

    /// Checks that there are whole rows of finite latents.
    pub(super) fn check_latents(&self, latents: &[f32]) -> Result<(), Error> {
        let width = self.model.config.latents;
        if latents.is_empty() || !latents.len().is_multiple_of(width) {
            return Err(Error::Argument {
                operation: "decoding latents",
                expected: format!("rows of {width} values"),
                found: format!("{} values", latents.len()),
            });
        }
        check_finite("decoding latents", "latents", latents, width)
    }

    /// Draws `count` rows of latents from the prior.
    pub(super) fn drawn(&self, network: &Network, count: usize, seed: u64) -> Result<Vec<f32>, Error> {
        let step = Step::tensor(&self.gpu)?;
        let recipe = network.drawing_step(&step)?;
        let mut latents = Vec::new();
        let key = noise::key(seed, Stream::Prior);
        let batches = Batches { rows: 0..count, key, step: &step, recipe: &recipe, length: 0 };
        self.run(batches, &network.z, |rows| latents.extend_from_slice(rows))?;
        Ok(latents)
    }

    /// Rows to process at a time, of `count`.
    pub(super) fn batch(&self, count: usize) -> usize {
        BATCH.min(count).min(Network::most_examples(self, 1)).max(1)
    }

    /// The step that the kernels read, and the tensor that decoded images go to.
    fn decoding_tensors(&self, network: &Network) -> Result<(Tensor, Tensor), Error> {
        let pixels = Tensor::zeros(&self.gpu, network.z.rows(), self.model.image()?.dimensions())?;
        Ok((Step::tensor(&self.gpu)?, pixels))
    }

    /// Replays a recipe over rows in batches as large as `output`, and passes the rows of each to `take`.
    fn run(&self, batches: Batches<'_>, output: &Tensor, mut take: impl FnMut(&[f32])) -> Result<(), Error> {
        let Batches { rows, key, step, recipe, length } = batches;
        self.gpu.run(&recipe.before, 1);
        for (first, examples) in step::batches(rows.len(), output.rows()) {
            let first = first + rows.start as u32;
            Step { first, examples, key, length, ..Step::default() }.write_to(&self.gpu, step)?;
            self.gpu.run(&recipe.step, 1);
            take(&output.read::<f32>(&self.gpu)?[..examples as usize * output.columns()]);
        }
        Ok(())
    }
}

/// A recipe and its rows.
struct Batches<'a> {
    rows: Range<usize>,
    /// The noise key.
    key: [u32; 4],
    step: &'a Tensor,
    recipe: &'a Recipe,
    /// The most positions of an example, if it is a sentence.
    length: u32,
}

/// Fails with the first row of `columns` values that contains NaN or an infinity.
fn check_finite(operation: &'static str, what: &str, values: &[f32], columns: usize) -> Result<(), Error> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let place = format!("row {} of the {what}", at / columns);
    Err(Error::NotFinite { operation, place, value: values[at] })
}
