//! A model on the CPU, whose results have the same bits on every machine: what a coder needs.

use sha2::{Digest, Sha256};

use super::Model;
use crate::Error;
use crate::data::{ImageShape, hex};
use crate::error::require;
use crate::likelihood::Levels;
use crate::nn::exact::{ExactStack, HostParameters};
use crate::posterior::PosteriorConfig;

/// A model with a discrete likelihood, evaluated for one image at a time.
#[derive(Debug)]
pub struct ExactModel {
    model: Model,
    image: ImageShape,
    hash: String,
    encoder: ExactStack,
    decoder: ExactStack,
    posterior: PosteriorConfig,
    /// The components of the prior: the mean and the log variance of each latent.
    pub components: Vec<[Vec<f32>; 2]>,
    /// The levels of a dimension.
    pub levels: Box<dyn Levels>,
}

impl ExactModel {
    /// Makes the network of a model and its parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the likelihood is a density, which has no levels.
    pub fn new(model: &Model, parameters: &HostParameters) -> Result<ExactModel, Error> {
        let (config, image) = (&model.config, model.image()?);
        let levels = config.likelihood.density().levels();
        let levels = levels.ok_or_else(|| Error::Config {
            option: "--likelihood",
            expected: "a model of a discrete likelihood: bernoulli, categorical, discretised-logistic or beta-binomial"
                .into(),
            found: "a density, which gives no level a probability".into(),
        })?;
        require("--standardise", config.standardisation.is_none(), "a model of bytes", "one of standardised values")?;
        let (encoder, decoder) = (model.encoder(image).exact(parameters), model.decoder(image).exact(parameters));
        let (posterior, prior) = (config.posterior, config.prior.density());
        let components = prior.components(config.latents, parameters, &*posterior.distribution(), &encoder);
        let hash = hash(model, parameters);
        Ok(ExactModel { model: model.clone(), image, hash, encoder, decoder, posterior, components, levels })
    }

    /// The size of an image.
    pub fn image(&self) -> ImageShape {
        self.image
    }

    /// The number of latents.
    pub fn latents(&self) -> usize {
        self.model.config.latents
    }

    /// The first 128 bits of the SHA-256 of its description and its parameters, as hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The posterior's mean and log variance of each latent, for the pixels of an image, from 0 to 1.
    pub fn encode(&self, pixels: &[f32]) -> [Vec<f32>; 2] {
        self.posterior.distribution().mean_and_logvar(&self.encoder.evaluate(pixels))
    }

    /// The decoder's outputs: those of a dimension are adjacent.
    pub fn decode(&self, z: &[f32]) -> Vec<f32> {
        self.decoder.evaluate(z)
    }
}

fn hash(model: &Model, parameters: &HostParameters) -> String {
    let mut digest = Sha256::new();
    digest.update(serde_json::to_vec(model).unwrap_or_default());
    for tensor in parameters.tensors() {
        digest.update(tensor.name.as_bytes());
        tensor.values.iter().for_each(|value| digest.update(value.to_bits().to_le_bytes()));
    }
    hex(&digest.finalize()[..16])
}
