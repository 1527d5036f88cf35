//! What a trained model is for: encode, decode, sample, reconstruct.

use std::ops::Range;

use super::{Network, Vae};
use crate::Error;
use crate::data::Images;
use crate::data::order::sequential;
use crate::gpu::{Program, Tensor};
use crate::nn::Mode;
use crate::noise::{self, Stream};
use crate::objective::ObjectiveConfig;
use crate::steps::{Step, batches};

/// The most rows that are worked on at a time.
const BATCH: usize = 256;

/// The posterior of each of `N` images, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct PosteriorParameters {
    /// `(N, L)`.
    pub mean: Vec<f32>,
    /// `(N, L)`, the log of the variance.
    pub logvar: Vec<f32>,
}

impl Vae {
    /// The posterior of each image. Where the model sees grey images as draws of black and white, these are those of seed 0.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the images have another size than the model's; [`Error::NotFiniteValue`] if a mean or a log
    /// variance is NaN or infinite.
    pub fn encode(&self, images: &Images) -> Result<PosteriorParameters, Error> {
        self.check_size("encoding images", images)?;
        let latents = self.model.config.latents;
        let network = Network::new(self, self.batch(images.count()), &ObjectiveConfig::default())?;
        let device_images = self.upload(images, Stream::BinariseEvaluation)?;
        let order = Tensor::from_values(&self.gpu, 1, images.count(), &sequential(images.count()))?;
        let step = Step::tensor(&self.gpu)?;
        let mut program = Program::default();
        program.push(device_images.gather(&self.gpu, &step, &order, &network.x)?);
        program.extend(network.encode(&step, Mode::Evaluation)?);
        let mut parameters = PosteriorParameters { mean: Vec::new(), logvar: Vec::new() };
        self.in_batches(0..images.count(), [0; 4], &step, &program, &network.posterior, |rows| {
            for row in rows.chunks_exact(2 * latents) {
                parameters.mean.extend_from_slice(&row[..latents]);
                let range = self.model.config.posterior.logvar_range;
                let held = |logvar: &f32| range.map_or(*logvar, |range| range.hold(*logvar));
                parameters.logvar.extend(row[latents..].iter().map(held));
            }
        })?;
        check_finite("encoding images", "means", &parameters.mean, latents)?;
        check_finite("encoding images", "log variances", &parameters.logvar, latents)?;
        Ok(parameters)
    }

    /// The likelihood's mean, or a draw from it, for each of `N` latents: images `(N, D)` from `latents`, `(N, L)`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the number of values is not a multiple of the model's latents, or there are none;
    /// [`Error::NotFiniteValue`] if a latent or a pixel is NaN or infinite.
    pub fn decode(&self, latents: &[f32]) -> Result<Vec<f32>, Error> {
        let width = self.model.config.latents;
        if latents.is_empty() || !latents.len().is_multiple_of(width) {
            return Err(Error::Shape {
                operation: "decoding latents",
                expected: format!("rows of {width} values"),
                found: format!("{} values", latents.len()),
            });
        }
        check_finite("decoding latents", "latents", latents, width)?;
        let mut images = Vec::new();
        let batch = self.batch(latents.len() / width);
        for (number, chunk) in latents.chunks(batch * width).enumerate() {
            let network = Network::new(self, chunk.len() / width, &ObjectiveConfig::default())?;
            network.z.write(&self.gpu, chunk)?;
            let (step, mean) = self.decoding_tensors(&network)?;
            let mut program = Program::default();
            program.extend(network.decode(&step, &mean)?);
            // Pixels are drawn by the row's number among all.
            let first = number * batch;
            let range = first..first + mean.rows();
            self.in_batches(range, [0; 4], &step, &program, &mean, |rows| images.extend_from_slice(rows))?;
        }
        check_finite("decoding latents", "images", &images, self.model.dimensions())?;
        Ok(images)
    }

    /// The likelihood's mean, or a draw from it, for `count` draws from the prior: images `(count, D)`. The same seed gives the
    /// same ones.
    ///
    /// # Errors
    ///
    /// [`Error::NotFiniteValue`] if a pixel is NaN or infinite; [`Error::Gpu`] if the device was lost.
    pub fn sample(&self, count: usize, seed: u64) -> Result<Vec<f32>, Error> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let network = Network::new(self, self.batch(count), &ObjectiveConfig::default())?;
        network.prepare_now()?;
        let (step, mean) = self.decoding_tensors(&network)?;
        let mut program = Program::default();
        program.push(network.draw_prior(&step)?);
        program.extend(network.decode(&step, &mean)?);
        let mut images = Vec::new();
        self.in_batches(0..count, noise::key(seed, Stream::Prior), &step, &program, &mean, |rows| {
            images.extend_from_slice(rows);
        })?;
        check_finite("drawing samples", "images", &images, self.model.dimensions())?;
        Ok(images)
    }

    /// The likelihood's mean, or a draw from it, for the posterior mean of each image: `(N, D)`.
    ///
    /// # Errors
    ///
    /// As [`Vae::encode`] and [`Vae::decode`].
    pub fn reconstruct(&self, images: &Images) -> Result<Vec<f32>, Error> {
        self.decode(&self.encode(images)?.mean)
    }

    /// Rows to work on at a time, of `count`.
    fn batch(&self, count: usize) -> usize {
        BATCH.min(count).min(Network::most_examples(self, 1)).max(1)
    }

    /// The step that the kernels read, and the tensor that decoded images go to.
    fn decoding_tensors(&self, network: &Network) -> Result<(Tensor, Tensor), Error> {
        let mean = Tensor::zeros(&self.gpu, network.z.rows(), self.model.dimensions())?;
        Ok((Step::tensor(&self.gpu)?, mean))
    }

    /// Replays `program` over a range of rows in batches as large as `output`, and hands over the rows of each.
    fn in_batches(
        &self,
        range: Range<usize>,
        key: [u32; 4],
        step: &Tensor,
        program: &Program,
        output: &Tensor,
        mut take: impl FnMut(&[f32]),
    ) -> Result<(), Error> {
        for (first, rows) in batches(range.len(), output.rows()) {
            let first = first + range.start as u32;
            let row = Step { first, rows, key, ..Step::default() };
            step.write(&self.gpu, bytemuck::cast_slice::<Step, u32>(&[row]))?;
            self.gpu.run(program, 1);
            take(&output.read::<f32>(&self.gpu)?[..rows as usize * output.columns()]);
        }
        Ok(())
    }
}

/// Names the first row of `columns` values that holds NaN or an infinity.
fn check_finite(operation: &'static str, what: &str, values: &[f32], columns: usize) -> Result<(), Error> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let place = format!("row {} of the {what}", at / columns);
    Err(Error::NotFiniteValue { operation, place, value: values[at] })
}
