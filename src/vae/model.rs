//! Models: their shape, and the examples that they describe.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::text::{self, TextLayers};
use crate::Error;
use crate::config::ModelConfig;
use crate::data::{DataShape, Examples, ImageShape, Images, TextShape};
use crate::error::require;
use crate::nn::{Extent, Layers, NormKind, ParameterSpec, Stack, StackConfig, WIDEST};

/// The shape of a model, and of the examples that it describes. A model file contains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The size of an example: of an image, or of a sentence.
    #[serde(flatten)]
    pub data: DataShape,
    /// The layers, the latents and the likelihood.
    #[serde(flatten)]
    pub config: ModelConfig,
}

impl Model {
    /// The size of the images that it describes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it is a model of text.
    pub fn image(&self) -> Result<ImageShape, Error> {
        match &self.data {
            DataShape::Image(image) => Ok(*image),
            DataShape::Text(_) => Err(Error::Argument {
                operation: "showing images",
                expected: "a model of images".into(),
                found: "a model of text".into(),
            }),
        }
    }

    /// The size of the sentences that it describes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it is a model of images.
    pub fn text(&self) -> Result<&TextShape, Error> {
        match &self.data {
            DataShape::Text(text) => Ok(text),
            DataShape::Image(_) => Err(Error::Argument {
                operation: "showing text",
                expected: "a model of text".into(),
                found: "a model of images".into(),
            }),
        }
    }

    /// Checks the values that need no data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        self.config.validate()?;
        match &self.data {
            DataShape::Image(image) => self.validate_image(*image),
            DataShape::Text(text) => self.validate_text(text),
        }
    }

    fn validate_image(&self, image: ImageShape) -> Result<(), Error> {
        image.validate()?;
        self.config.text.require_none()?;
        self.config.validate_layers(extent(image, 1))?;
        let fits = self.config.standardisation.as_ref().is_none_or(|standardisation| standardisation.fits(image));
        require("--standardise", fits, "finite means and deviations for each channel or column", "others")?;
        let outputs = self.outputs(image);
        require("--categories", outputs <= WIDEST, "at most 1048576 categories of all pixels together", outputs)
    }

    /// Floating-point operations that training spends on the products of one example with the given number of importance
    /// samples: forward, and both gradients of each layer, except the first layer, whose input needs no gradient. A sentence counts with
    /// the most positions that it may have.
    pub fn training_flops(&self, samples: usize) -> f64 {
        match &self.data {
            DataShape::Image(image) => {
                let [encoder, decoder] = [self.encoder(*image), self.decoder(*image)].map(|stack| stack.flops());
                let total = |flops: &[f64]| flops.iter().sum::<f64>();
                3.0 * total(&encoder) - encoder[0] + 3.0 * samples as f64 * total(&decoder)
            }
            DataShape::Text(text) => {
                let [encoder, decoder] = TextLayers::of(&self.config, text).flops();
                3.0 * text.length as f64 * (encoder + samples as f64 * decoder)
            }
        }
    }

    /// Numbers that the decoder outputs for an image.
    pub(super) fn outputs(&self, image: ImageShape) -> usize {
        image.dimensions() * self.config.likelihood.density().outputs_per_dimension()
    }

    /// The most values that a tensor has for each example.
    pub(crate) fn widest(&self) -> usize {
        let prior = self.config.prior.density().widest();
        let layers = match &self.data {
            DataShape::Image(image) => self.encoder(*image).widest().max(self.decoder(*image).widest()),
            DataShape::Text(text) => text.length * TextLayers::of(&self.config, text).widest(),
        };
        layers.max(prior).max(1)
    }

    /// The most positions of a grid for each example.
    pub(crate) fn most_positions(&self) -> usize {
        let DataShape::Image(image) = self.data else { return 1 };
        self.encoder(image).most_positions().max(self.decoder(image).most_positions())
    }

    pub(super) fn encoder(&self, image: ImageShape) -> Stack {
        let ModelConfig { latents, posterior, .. } = &self.config;
        let outputs = posterior.distribution().outputs(*latents);
        Stack::encoder(["encoder", "posterior"], extent(image, 1), outputs, self.stack(&self.hidden()))
    }

    pub(super) fn decoder(&self, image: ImageShape) -> Stack {
        let outputs = self.config.likelihood.density().outputs_per_dimension();
        let layers = self.config.decoder_hidden.clone().unwrap_or_else(|| self.hidden());
        let names = ["decoder", "likelihood"];
        Stack::decoder(names, self.config.latents, extent(image, outputs), self.stack(&layers))
    }

    /// The model with what was chosen for its data as if it had been given.
    pub fn suited(mut self) -> Model {
        (self.config.hidden, self.config.normalise) = (Some(self.hidden()), Some(self.normalise()));
        self
    }

    /// The normalisation of the configuration, or the one that suits the layers: convolutions that were chosen learn several times
    /// as fast with batch normalisation, which a VampPrior cannot have.
    pub fn normalise(&self) -> NormKind {
        self.config.normalise.unwrap_or_else(|| {
            let chosen = self.config.hidden.is_none() && self.hidden().are_convolutions();
            if chosen && self.config.may_normalise() { NormKind::Batch } else { NormKind::None }
        })
    }

    /// The encoder's hidden layers: those of the configuration, or those that suit the data.
    pub fn hidden(&self) -> Layers {
        match &self.data {
            DataShape::Image(image) => {
                self.config.hidden.clone().unwrap_or_else(|| Layers::suited_to(extent(*image, 1)))
            }
            DataShape::Text(_) => text::hidden(&self.config),
        }
    }

    fn stack<'a>(&self, hidden: &'a Layers) -> StackConfig<'a> {
        let ModelConfig { activation, upsample, .. } = self.config;
        StackConfig { hidden, activation, normalise: self.normalise(), upsample }
    }

    /// All parameters, in the order of the arena: encoder, posterior, decoder, likelihood, prior.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let ModelConfig { likelihood, prior, latents, init, .. } = &self.config;
        let prior = prior.density();
        match &self.data {
            DataShape::Image(image) => {
                let likelihood = likelihood.density().parameter(image.dimensions());
                let (encoder, decoder) = (self.encoder(*image), self.decoder(*image));
                let layers = encoder.parameters().chain(decoder.parameters()).map(|spec| init.of(spec));
                layers.chain(likelihood).chain(prior.parameter(*latents, image.dimensions())).collect()
            }
            DataShape::Text(text) => {
                let layers = TextLayers::of(&self.config, text).parameters().into_iter().map(|spec| init.of(spec));
                layers.chain(prior.parameter(*latents, 0)).collect()
            }
        }
    }

    /// How many of the parameters are the encoder's, and the posterior's: they are the first.
    pub(crate) fn encoder_parameters(&self) -> usize {
        match &self.data {
            DataShape::Image(image) => self.encoder(*image).parameters().count(),
            DataShape::Text(text) => {
                TextLayers::of(&self.config, text).encoder.map_or(0, |encoder| encoder.parameters().count())
            }
        }
    }

    /// Checks that the model can describe examples: their size, and their values as the model sees them. `part` names them, such as
    /// `training`; `operation` says what they are for.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if they are of another kind or size; [`Error::Config`] that names the first pixel that the likelihood
    /// cannot describe.
    pub fn describe<'a>(
        &self,
        operation: &'static str,
        examples: impl Into<Examples<'a>>,
        part: &str,
    ) -> Result<Described<'a>, Error> {
        let examples = examples.into();
        self.check_size(operation, examples)?;
        if let Examples::Images(images) = examples {
            self.config.likelihood.check(&*self.seen(images)?, self.config.binarize, part)?;
        }
        Ok(Described(examples))
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

    /// Checks that examples are of the size that the model describes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if they are not.
    pub(crate) fn check_size(&self, operation: &'static str, examples: Examples<'_>) -> Result<(), Error> {
        let found = match (&self.data, examples) {
            (DataShape::Image(image), Examples::Images(images)) if images.shape() == *image => return Ok(()),
            (DataShape::Text(text), Examples::Sentences(sentences)) => {
                let same = **sentences.vocabulary() == *text.vocabulary;
                if same && sentences.longest() <= text.length {
                    return Ok(());
                }
                let words = if same { "the same vocabulary" } else { "another vocabulary" };
                format!("{words} and sentences of up to {} tokens", sentences.longest() - 1)
            }
            (_, Examples::Images(images)) => images.shape().to_string(),
            (_, Examples::Sentences(_)) => "sentences".to_owned(),
        };
        let unit = if matches!(self.data, DataShape::Image(_)) { " pixels" } else { "" };
        let expected = format!("{}{unit}, as the model was trained on", self.data);
        Err(Error::Argument { operation, expected, found })
    }
}

/// The size of an image with the given number of values for each dimension.
fn extent(image: ImageShape, values: usize) -> Extent {
    let ImageShape { channels, height, width } = image;
    Extent { positions: [height, width], channels: channels * values, packed: true }
}

/// Examples that a model can describe: [`Model::describe`] checked it. They are for that model, or one of the same data and
/// likelihood.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a>(Examples<'a>);

impl<'a> Described<'a> {
    /// The examples.
    pub fn examples(self) -> Examples<'a> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_and_width_stand_beside_the_configuration() {
        let model = Model { data: ImageShape::grey(28, 14).into(), config: ModelConfig::default() };
        let json = serde_json::to_string(&model).unwrap();
        assert!(json.starts_with(r#"{"height":28,"width":14,"latents":20,"#), "{json}");
        assert_eq!(serde_json::from_str::<Model>(&json).unwrap(), model);
    }

    #[test]
    fn only_convolutions_that_were_chosen_are_normalised_by_themselves() {
        let suited = |channels, change: &dyn Fn(&mut ModelConfig)| {
            let mut config = ModelConfig::default();
            change(&mut config);
            Model { data: ImageShape { channels, height: 28, width: 28 }.into(), config }.suited().config.normalise
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
