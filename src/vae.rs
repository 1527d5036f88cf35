//! The variational autoencoder: encoder, posterior, decoder, likelihood and prior, put together.

mod exact;
mod file;
mod inference;
mod network;
mod recipe;

pub use exact::ExactModel;
pub(crate) use file::{download, upload, values};
pub use inference::PosteriorParameters;
pub use network::Network;
pub use recipe::Recipe;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::ModelConfig;
use crate::data::batch::DeviceImages;
use crate::data::{ImageShape, Images};
use crate::error::require;
use crate::gpu::{Arena, Gpu};
use crate::nn::{self, Extent, Layers, NormKind, ParameterSpec, Stack, StackConfig, WIDEST};
use crate::noise::Stream;

/// The shape of a model, and of the images that it describes. A model file contains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The size of an image.
    #[serde(flatten)]
    pub image: ImageShape,
    /// The layers, the latents and the likelihood.
    #[serde(flatten)]
    pub config: ModelConfig,
}

impl Model {
    /// The data dimensions, `D`: the values of an image.
    pub fn dimensions(&self) -> usize {
        self.image.dimensions()
    }

    /// Checks the values that need no data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        self.image.validate()?;
        self.config.validate()?;
        self.config.validate_layers(self.extent(1))?;
        let fits = self.config.standardisation.as_ref().is_none_or(|standardisation| standardisation.fits(self.image));
        require("--standardise", fits, "finite means and deviations for each channel or column", "others")?;
        let outputs = self.outputs();
        require("--categories", outputs <= WIDEST, "at most 1048576 categories of all pixels together", outputs)
    }

    /// Floating-point operations that training spends on the products of one image with the given number of importance
    /// samples: forward, and both gradients of each layer, except the first layer, whose input needs no gradient.
    pub fn training_flops(&self, samples: usize) -> f64 {
        let [encoder, decoder] = [self.encoder(), self.decoder()].map(|stack| stack.flops());
        let total = |flops: &[f64]| flops.iter().sum::<f64>();
        3.0 * total(&encoder) - encoder[0] + 3.0 * samples as f64 * total(&decoder)
    }

    /// Numbers that the decoder outputs.
    pub(crate) fn outputs(&self) -> usize {
        self.dimensions() * self.config.likelihood.density().outputs_per_dimension()
    }

    /// The most columns that a tensor has with a row for each example.
    pub(crate) fn widest(&self) -> usize {
        self.encoder().widest().max(self.decoder().widest()).max(self.config.prior.density().widest()).max(1)
    }

    fn encoder(&self) -> Stack {
        let ModelConfig { latents, posterior, .. } = &self.config;
        let outputs = posterior.distribution().outputs(*latents);
        Stack::encoder(["encoder", "posterior"], self.extent(1), outputs, self.stack(&self.hidden()))
    }

    fn decoder(&self) -> Stack {
        let outputs = self.config.likelihood.density().outputs_per_dimension();
        let layers = self.config.decoder_hidden.clone().unwrap_or_else(|| self.hidden());
        let names = ["decoder", "likelihood"];
        Stack::decoder(names, self.config.latents, self.extent(outputs), self.stack(&layers))
    }

    /// The model with what was chosen for its images as if it had been given.
    pub fn suited(mut self) -> Model {
        (self.config.hidden, self.config.normalise) = (Some(self.hidden()), Some(self.normalise()));
        self
    }

    /// The normalisation of the configuration, or the one that suits the layers: convolutions that were chosen learn several times
    /// as fast with batch normalisation, which a VampPrior cannot have.
    pub fn normalise(&self) -> NormKind {
        self.config.normalise.unwrap_or_else(|| {
            let chosen = self.config.hidden.is_none() && !self.hidden().are_dense();
            if chosen && self.config.may_normalise() { NormKind::Batch } else { NormKind::None }
        })
    }

    /// The encoder's hidden layers: those of the configuration, or those that suit the images.
    pub fn hidden(&self) -> Layers {
        self.config.hidden.clone().unwrap_or_else(|| Layers::suited_to(self.extent(1)))
    }

    /// The size of an image with the given number of values for each dimension.
    fn extent(&self, values: usize) -> Extent {
        let ImageShape { channels, height, width } = self.image;
        Extent { positions: [height, width], channels: channels * values, packed: true }
    }

    fn stack<'a>(&self, hidden: &'a Layers) -> StackConfig<'a> {
        let ModelConfig { activation, upsample, .. } = self.config;
        StackConfig { hidden, activation, normalise: self.normalise(), upsample }
    }

    /// All parameters, in the order of the arena: encoder, posterior, decoder, likelihood, prior.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let ModelConfig { likelihood, prior, latents, .. } = &self.config;
        let likelihood = likelihood.density().parameter(self.dimensions());
        let prior = prior.density().parameter(*latents, self.dimensions());
        let (encoder, decoder) = (self.encoder(), self.decoder());
        let layers = encoder.parameters().chain(decoder.parameters()).map(|spec| self.config.init.of(spec));
        layers.chain(likelihood).chain(prior).collect()
    }

    /// Checks that the model can describe images: their size, and their values as the model sees them. `part` names the
    /// images, such as `training`; `operation` says what they are for.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if they have another size; [`Error::Config`] that names the first pixel that the likelihood
    /// cannot describe.
    pub fn describe<'a>(
        &self,
        operation: &'static str,
        images: &'a Images,
        part: &str,
    ) -> Result<Described<'a>, Error> {
        self.check_size(operation, images)?;
        self.config.likelihood.check(&*self.seen(images)?, self.config.binarize, part)?;
        Ok(Described(images))
    }

    /// Images as the model sees them, but for binarisation: standardised, if it was trained so.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if a value becomes too large.
    pub(crate) fn seen<'a>(&self, images: &'a Images) -> Result<Cow<'a, Images>, Error> {
        match &self.config.standardisation {
            Some(standardisation) => standardisation.apply(images).map(Cow::Owned),
            None => Ok(Cow::Borrowed(images)),
        }
    }

    /// Brings images that the model outputs, `(N, D)`, to the scale of the data.
    pub(crate) fn unstandardise(&self, images: &mut [f32]) {
        if let Some(standardisation) = &self.config.standardisation {
            standardisation.undo(images);
        }
    }

    /// Images, `(N, D)`, as pictures show them, from 0 to 1. If the model was trained on standardised data, the smallest and the
    /// largest value of the training set become 0 and 1; other images are unchanged.
    pub fn shown(&self, mut images: Vec<f32>) -> Vec<f32> {
        if let Some(standardisation) = &self.config.standardisation {
            images.iter_mut().for_each(|x| *x = standardisation.brightness(*x));
        }
        images
    }

    /// Checks that images are of the size that the model describes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if they are not.
    pub(crate) fn check_size(&self, operation: &'static str, images: &Images) -> Result<(), Error> {
        if images.shape() == self.image {
            return Ok(());
        }
        Err(Error::Argument {
            operation,
            expected: format!("images of {} pixels, as the model was trained on", self.image),
            found: images.shape().to_string(),
        })
    }
}

/// Images that a model can describe: [`Model::describe`] checked it. They are for that model, or one of the same image size and
/// likelihood.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a>(&'a Images);

impl<'a> Described<'a> {
    /// The images.
    pub fn images(self) -> &'a Images {
        self.0
    }
}

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
/// let vae = Vae::new(&gpu, Model { image: ImageShape::grey(4, 4), config }, 0)?; // untrained
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
    pub(crate) fn start_prior(&self, images: &Images, seed: u64) -> Result<(), Error> {
        let upload = || self.upload(images, Stream::Binarise);
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

    /// Uploads images as the model sees them; draws that binarise them come from `stream`.
    ///
    /// # Errors
    ///
    /// As [`DeviceImages::upload`].
    pub(crate) fn upload(&self, images: &Images, stream: Stream) -> Result<DeviceImages, Error> {
        DeviceImages::upload(&self.gpu, &*self.model.seen(images)?, self.model.config.binarize, stream)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_and_width_stand_beside_the_configuration() {
        let model = Model { image: ImageShape::grey(28, 14), config: ModelConfig::default() };
        let json = serde_json::to_string(&model).unwrap();
        assert!(json.starts_with(r#"{"height":28,"width":14,"latents":20,"#), "{json}");
        assert_eq!(serde_json::from_str::<Model>(&json).unwrap(), model);
    }

    #[test]
    fn only_convolutions_that_were_chosen_are_normalised_by_themselves() {
        let suited = |channels, change: &dyn Fn(&mut ModelConfig)| {
            let mut config = ModelConfig::default();
            change(&mut config);
            Model { image: ImageShape { channels, height: 28, width: 28 }, config }.suited().config.normalise
        };
        assert_eq!(suited(3, &|_| ()), Some(NormKind::Batch));
        assert_eq!(suited(1, &|_| ()), Some(NormKind::None));
        assert_eq!(suited(3, &|config| config.hidden = "conv32k4s2".parse().ok()), Some(NormKind::None));
        assert_eq!(suited(3, &|config| config.normalise = Some(NormKind::Layer)), Some(NormKind::Layer));
        assert_eq!(
            suited(3, &|config| config.prior.kind = serde_json::from_str("\"vamp-prior\"").unwrap()),
            Some(NormKind::None)
        );
    }
}
