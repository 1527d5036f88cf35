//! The variational autoencoder: encoder, posterior, decoder, likelihood and prior, put together.

mod describe;
mod exact;
mod file;
mod generate;
mod import;
mod inference;
mod model;
mod network;
mod recipe;
mod replay;
mod text;

pub(crate) use describe::TextInPytorch;
pub use exact::ExactModel;
pub(crate) use file::{download, upload, values};
pub use generate::Words;
pub use inference::{PosteriorParameters, sweep};
pub use model::{Described, Model};
pub use network::Network;
pub use recipe::Recipe;
pub use replay::InferencePrograms;

use crate::Error;
use crate::data::Examples;
use crate::data::batch::{DeviceExamples, DeviceImages, DeviceSentences};
use crate::gpu::{Arena, Gpu};
use crate::nn::{self, ParameterSpec};
use crate::noise::Stream;

/// A model with its parameters on a GPU. Clones share the parameters.
///
/// [`Trainer`](crate::Trainer) trains one, and [`Vae::load`] reads one from a file.
///
/// ```
/// use elbo::config::ModelConfig;
/// use elbo::data::{ImageShape, Images};
/// use elbo::likelihood::Pixels;
/// use elbo::vae::Model;
/// use elbo::{AdapterRequest, Gpu, Vae};
///
/// # fn main() -> Result<(), elbo::Error> {
/// let gpu = Gpu::open(&AdapterRequest::default())?;
/// let config = ModelConfig { latents: 2, ..ModelConfig::default() };
/// let vae = Vae::new(&gpu, Model { data: ImageShape::grey(4, 4).into(), config }, 0)?; // untrained
///
/// let images = Images::new(vec![128; 3 * 16], 3, ImageShape::grey(4, 4))?;
/// let posterior = vae.encode(&images, 0)?; // for each image, the mean and the log variance of each latent
/// assert_eq!((posterior.mean.len(), posterior.logvar.len()), (3 * 2, 3 * 2));
///
/// let pixels = vae.decode(&posterior.mean, Pixels::Mean)?; // for each row of latents, an image
/// assert_eq!(pixels, vae.reconstruct(&images, 0, Pixels::Mean)?);
///
/// let samples = vae.sample(5, 7, Pixels::Mean)?; // from 5 draws of the prior, those of seed 7
/// assert_eq!(samples.len(), 5 * 16);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Vae {
    pub(crate) gpu: Gpu,
    pub(crate) model: Model,
    pub(crate) specs: Vec<ParameterSpec>,
    pub(crate) parameters: Arena,
}

impl Vae {
    /// Makes a model with fresh parameters: each weight and bias uniform within `1 / sqrt(inputs)`, as
    /// `torch.nn.Linear` starts them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an invalid model; [`Error::Limit`] for one too large for the adapter.
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
        Ok(Vae { gpu: gpu.clone(), model, specs, parameters })
    }

    /// Sets the parameters of the prior that start from training images.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are too few.
    pub(crate) fn start_prior(&self, examples: Examples<'_>, seed: u64) -> Result<(), Error> {
        let upload = || self.upload(examples, Stream::Binarise);
        self.model.config.prior.density().start_from(&self.gpu, &upload, &self.parameters, seed)
    }

    /// The model's shape.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The GPU of the parameters.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Uploads examples as the model sees them; draws that binarise images come from `stream`.
    ///
    /// # Errors
    ///
    /// As [`DeviceImages::upload`] and [`DeviceSentences::upload`].
    pub(crate) fn upload(&self, examples: Examples<'_>, stream: Stream) -> Result<DeviceExamples, Error> {
        match examples {
            Examples::Images(images) => {
                let seen = self.model.seen(images)?;
                DeviceImages::upload(&self.gpu, &seen, self.model.config.binarize, stream).map(DeviceExamples::Images)
            }
            Examples::Sentences(sentences) => {
                DeviceSentences::upload(&self.gpu, sentences).map(DeviceExamples::Sentences)
            }
        }
    }

    /// The layers' descriptions of the parameters, in the order of the arena.
    pub fn specs(&self) -> &[ParameterSpec] {
        &self.specs
    }

    /// The parameters, by name, to read or to overwrite them.
    pub fn parameters(&self) -> &Arena {
        &self.parameters
    }

    /// The number of parameters that are learned.
    pub fn parameter_count(&self) -> usize {
        self.specs.iter().map(ParameterSpec::learned).sum()
    }
}
