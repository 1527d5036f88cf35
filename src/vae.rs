//! The variational autoencoder: encoder, posterior, decoder, likelihood and prior, put together.

mod inference;
mod network;

pub use inference::PosteriorParameters;
pub use network::Network;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::ModelConfig;
use crate::data::Images;
use crate::data::batch::DeviceImages;
use crate::error::require;
use crate::gpu::{Arena, Gpu};
use crate::likelihood::Pixels;
use crate::nn::{self, Mlp, ParameterSpec, WIDEST};
use crate::noise::Stream;

/// The size of the images that a model describes, and its shape: what a file of weights has to state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Height of the images in pixels.
    pub height: usize,
    /// Width of the images in pixels.
    pub width: usize,
    /// The layers, the latents and the likelihood.
    #[serde(flatten)]
    pub config: ModelConfig,
}

impl Model {
    /// Pixels of an image, `D`.
    pub fn dimensions(&self) -> usize {
        self.height * self.width
    }

    /// Checks that such a model can exist.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let pixels = self.height.checked_mul(self.width).filter(|pixels| (1..=WIDEST).contains(pixels));
        let found = format!("{} x {}", self.height, self.width);
        require("image size", pixels.is_some(), "from 1 to 1048576 pixels", found)?;
        self.config.validate()?;
        let outputs = self.outputs();
        require("--categories", outputs <= WIDEST, "at most 1048576 categories of all pixels together", outputs)
    }

    /// Floating-point operations that training spends on the products of one image with so many importance samples: forward,
    /// and both gradients of each layer but the first, whose input needs none.
    pub fn training_flops(&self, samples: usize) -> f64 {
        let [encoder, decoder] = [self.encoder(), self.decoder()].map(|mlp| mlp.weights());
        let total = |weights: &[usize]| weights.iter().sum::<usize>();
        2.0 * (3 * total(&encoder) - encoder[0] + 3 * samples * total(&decoder)) as f64
    }

    /// Numbers that the decoder puts out.
    fn outputs(&self) -> usize {
        self.dimensions() * self.config.likelihood.outputs_per_dimension()
    }

    /// The most columns that a tensor has with a row for each example.
    pub(crate) fn widest(&self) -> usize {
        let ModelConfig { hidden, latents, activation, prior, .. } = &self.config;
        let hidden = hidden.0.iter().map(|width| width * activation.inputs());
        hidden.chain([2 * latents, self.dimensions(), self.outputs(), prior.score_columns()]).max().unwrap_or(1)
    }

    fn encoder(&self) -> Mlp {
        let ModelConfig { hidden, latents, activation, normalise, .. } = &self.config;
        Mlp::new("encoder", self.dimensions(), &hidden.0, *activation, *normalise, "posterior", 2 * latents)
    }

    fn decoder(&self) -> Mlp {
        let ModelConfig { hidden, latents, activation, normalise, .. } = &self.config;
        let mirrored: Vec<usize> = hidden.0.iter().rev().copied().collect();
        Mlp::new("decoder", *latents, &mirrored, *activation, *normalise, "likelihood", self.outputs())
    }

    /// All parameters, in the order of the arena: encoder, posterior, decoder, likelihood, prior.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let ModelConfig { likelihood, prior, latents, .. } = &self.config;
        let likelihood = likelihood.parameters(self.dimensions());
        let prior = prior.parameters(*latents, self.dimensions());
        self.encoder().parameters().chain(self.decoder().parameters()).chain(likelihood).chain(prior).collect()
    }
}

/// A model with its parameters on a GPU. Clones share the parameters.
#[derive(Clone)]
pub struct Vae {
    pub(crate) gpu: Gpu,
    pub(crate) model: Model,
    pub(crate) specs: Vec<ParameterSpec>,
    pub(crate) parameters: Arena,
    pixels: Pixels,
}

impl Vae {
    /// Makes a model with fresh parameters: each weight and bias uniform within `1 / sqrt(inputs)`, as
    /// `torch.nn.Linear` starts them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a model that cannot exist; [`Error::Limit`] for one too large for the adapter.
    pub fn new(gpu: &Gpu, model: Model, seed: u64) -> Result<Vae, Error> {
        let vae = Vae::zeros(gpu, model)?;
        nn::initialise(gpu, &vae.specs, &vae.parameters, seed)?;
        Ok(vae)
    }

    /// Makes a model whose parameters are still to be written.
    pub(crate) fn zeros(gpu: &Gpu, model: Model) -> Result<Vae, Error> {
        model.validate()?;
        let specs = model.parameters();
        let parameters = nn::arena(gpu, &specs)?;
        Ok(Vae { gpu: gpu.clone(), model, specs, parameters, pixels: Pixels::Mean })
    }

    /// The same model, with the same parameters, whose images are draws from the likelihood where they would be its mean. The
    /// same seed gives the same draws for the same latents.
    #[must_use]
    pub fn drawing(&self, seed: u64) -> Vae {
        Vae { pixels: Pixels::Draw { seed }, ..self.clone() }
    }

    /// Sets the parameters of the prior that start from training images.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are too few.
    pub(crate) fn start_prior(&self, images: &Images, seed: u64) -> Result<(), Error> {
        let upload = || self.upload(images, Stream::Binarise);
        self.model.config.prior.prior.start_from(&self.gpu, upload, &self.parameters, seed)
    }

    /// The model's shape.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The GPU that it lives on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Checks that images are of the size that the model describes.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if they are not.
    pub(crate) fn check_size(&self, operation: &'static str, images: &Images) -> Result<(), Error> {
        let Model { height, width, .. } = self.model;
        if (images.height(), images.width()) == (height, width) {
            return Ok(());
        }
        Err(Error::Shape {
            operation,
            expected: format!("images of {height} x {width} pixels, as the model was trained on"),
            found: format!("{} x {}", images.height(), images.width()),
        })
    }

    /// Checks that the likelihood can describe images; `part` says which they are, as in `training`.
    ///
    /// # Errors
    ///
    /// As [`LikelihoodConfig::check`](crate::likelihood::LikelihoodConfig::check).
    pub(crate) fn check_support(&self, images: &Images, part: &str) -> Result<(), Error> {
        self.model.config.likelihood.check(images, self.model.config.binarize, part)
    }

    /// Uploads images as the model sees them; draws that make them black and white come from `stream`.
    ///
    /// # Errors
    ///
    /// As [`DeviceImages::upload`].
    pub(crate) fn upload(&self, images: &Images, stream: Stream) -> Result<DeviceImages, Error> {
        DeviceImages::upload(&self.gpu, images, self.model.config.binarize, stream)
    }

    /// The parameters, by name: to read them, or to write others over them.
    pub fn parameters(&self) -> &Arena {
        &self.parameters
    }

    /// The number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.specs.iter().map(ParameterSpec::len).sum()
    }
}
