//! The layers of models of text.
//!
//! The encoder reads a sentence with its end, and its last state describes the posterior, or for convolutions the mean over its
//! positions. The decoder sees the token before each
//! position and the latents, which make the first state of recurrent layers too: `start = W z + b`, `state = tanh(start)`, and an LSTM's cell is `start`.

use super::Model;
use crate::Error;
use crate::config::ModelConfig;
use crate::data::{Binarize, TextShape};
use crate::error::require;
use crate::likelihood::Likelihood;
use crate::nn::spec::LayerSpec;
use crate::nn::{
    Cell, Dense, Embedding, Layer, Layers, NormKind, ParameterSpec, SequenceKind, SequenceLayer, SequenceSpec, Upsample,
};

/// The most layers over sentences of a network.
const MOST_LAYERS: usize = 2;

/// The layers of a model of text.
#[derive(Clone, Debug)]
pub(super) struct TextLayers {
    /// None without latents.
    pub encoder: Option<TextEncoder>,
    pub decoder: TextDecoder,
}

#[derive(Clone, Debug)]
pub(super) struct TextEncoder {
    /// The table of the decoder, if they share it.
    pub embedding: Embedding,
    /// The layers over a sentence, and perhaps those over the reversed one.
    pub directions: Vec<Vec<SequenceLayer>>,
    /// Whether the last state of a sentence describes its posterior, or the mean over its positions.
    pub by_last: bool,
    pub posterior: Dense,
}

#[derive(Clone, Debug)]
pub(super) struct TextDecoder {
    pub embedding: Embedding,
    /// Beside each vector; 0 without latents.
    pub latents: usize,
    /// The layer that makes the first state of each recurrent layer; none without latents, and none for convolutions.
    pub starts: Vec<Dense>,
    pub layers: Vec<SequenceLayer>,
    /// The probability that a value of the embeddings, or of the last states, is dropped in training.
    pub dropout: f32,
    pub output: Dense,
}

impl TextEncoder {
    /// Those of the encoder and of the posterior.
    pub fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        let TextEncoder { embedding, directions, posterior, .. } = self;
        let of_layers = directions.iter().flatten().flat_map(SequenceLayer::parameters);
        [embedding.parameter()].into_iter().chain(of_layers).chain(posterior.parameters())
    }
}

impl TextLayers {
    /// The layers of a checked model.
    pub fn of(config: &ModelConfig, shape: &TextShape) -> TextLayers {
        let (text, latents) = (config.text, config.latents);
        let has_latents = !text.without_latents;
        let words = shape.vocabulary.len();
        let hidden = over_sentences(&hidden(config));
        let of_decoder = config.decoder_hidden.as_ref().map_or_else(|| hidden.clone(), over_sentences);
        let embedding = |name: &str, tokens| {
            let shared = text.shared_embedding;
            if shared {
                Embedding::new("embedding", words + 1, text.embedding)
            } else {
                Embedding::new(name, tokens, text.embedding)
            }
        };
        let outputs = config.posterior.distribution().outputs(latents);
        let width = |layers: &[SequenceSpec]| layers.last().map_or(0, |layer| layer.units);
        let names = if text.bidirectional { &["encoder", "encoder.reverse"][..] } else { &["encoder"] };
        let encoder = has_latents.then(|| TextEncoder {
            embedding: embedding("encoder.embedding", words),
            posterior: Dense::new("posterior", names.len() * width(&hidden), outputs),
            directions: names
                .iter()
                .map(|name| layers(name, &hidden, text.embedding, SequenceLayer::encoder))
                .collect(),
            by_last: are_recurrent(&hidden),
        });
        let inputs = text.embedding + if has_latents { latents } else { 0 };
        let starts = of_decoder.iter().enumerate();
        let starts = starts.map(|(index, layer)| Dense::new(format!("decoder.{index}.start"), latents, layer.units));
        let decoder = TextDecoder {
            // The token before the first word has a vector too.
            embedding: embedding("decoder.embedding", words + 1),
            starts: if has_latents && are_recurrent(&of_decoder) { starts.collect() } else { Vec::new() },
            latents: if has_latents { latents } else { 0 },
            layers: layers("decoder", &of_decoder, inputs, |name, spec, inputs| {
                SequenceLayer::decoder(name, spec, inputs, !has_latents)
            }),
            dropout: text.dropout,
            output: Dense::new("likelihood", width(&of_decoder), words),
        };
        TextLayers { encoder, decoder }
    }

    /// All parameters, in the order of the arena.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let TextLayers { encoder, decoder } = self;
        let mut specs = Vec::new();
        specs.extend(encoder.iter().flat_map(TextEncoder::parameters));
        if specs.first() != Some(&decoder.embedding.parameter()) {
            specs.push(decoder.embedding.parameter());
        }
        specs.extend(decoder.starts.iter().flat_map(Layer::parameters));
        specs.extend(decoder.layers.iter().flat_map(SequenceLayer::parameters));
        specs.extend(decoder.output.parameters());
        specs
    }

    /// Floating-point operations of the forward pass for one position, of the encoder and of the decoder.
    pub fn flops(&self) -> [f64; 2] {
        let encoder = self.encoder.iter().flat_map(|encoder| encoder.directions.iter().flatten());
        let decoder = self.decoder.layers.iter().map(SequenceLayer::flops).sum::<f64>();
        [encoder.map(SequenceLayer::flops).sum(), decoder + self.decoder.output.flops()]
    }

    /// The most values that a tensor has for each position.
    pub fn widest(&self) -> usize {
        let encoder = self.encoder.iter().flat_map(|encoder| encoder.directions.iter().flatten());
        let widths = encoder.chain(&self.decoder.layers).flat_map(SequenceLayer::widths);
        let [outputs, inputs] =
            [self.decoder.output.output().len(), self.decoder.embedding.width + self.decoder.latents];
        widths.chain([outputs, inputs]).map(|width| width.next_multiple_of(4)).max().unwrap_or(0)
    }
}

/// The hidden layers of the configuration, or those that suit sentences.
pub(super) fn hidden(config: &ModelConfig) -> Layers {
    let suited =
        || Layers(vec![LayerSpec::Sequence(SequenceSpec { kind: SequenceKind::Recurrent(Cell::Gru), units: 256 })]);
    config.hidden.clone().unwrap_or_else(suited)
}

/// The layers over sentences of a list.
fn over_sentences(layers: &Layers) -> Vec<SequenceSpec> {
    let of = |layer: &LayerSpec| if let LayerSpec::Sequence(spec) = layer { Some(*spec) } else { None };
    layers.0.iter().filter_map(of).collect()
}

fn are_recurrent(specs: &[SequenceSpec]) -> bool {
    specs.iter().all(|spec| matches!(spec.kind, SequenceKind::Recurrent(_)))
}

/// Layers one on the other.
fn layers(
    name: &str,
    specs: &[SequenceSpec],
    inputs: usize,
    layer: impl Fn(&str, SequenceSpec, usize) -> SequenceLayer,
) -> Vec<SequenceLayer> {
    let inputs = [inputs].into_iter().chain(specs.iter().map(|spec| spec.units));
    let numbered = specs.iter().zip(inputs).enumerate();
    let of =
        |(index, (spec, inputs)): (usize, (&SequenceSpec, usize))| layer(&format!("{name}.{index}"), *spec, inputs);
    numbered.map(of).collect()
}

impl Model {
    /// Checks that the configuration fits text.
    pub(super) fn validate_text(&self, shape: &TextShape) -> Result<(), Error> {
        shape.validate()?;
        let config = &self.config;
        config.text.validate()?;
        let hidden = hidden(config);
        for (option, layers) in [("--hidden", Some(&hidden)), ("--decoder-hidden", config.decoder_hidden.as_ref())] {
            let Some(layers) = layers else { continue };
            let specs = over_sentences(layers);
            let fits = specs.len() == layers.0.len() && (1..=MOST_LAYERS).contains(&specs.len());
            let are_alike = are_recurrent(&specs) || specs.iter().all(|spec| spec.kind == SequenceKind::Dilated);
            let expected = "one or two layers for text, all recurrent or none, such as gru256 or cnn256";
            require(option, fits && are_alike, expected, layers)?;
        }
        let fits = !config.text.bidirectional || are_recurrent(&over_sentences(&hidden));
        require("--bidirectional", fits, "recurrent layers: convolutions see both sides anyway", &hidden)?;
        let given = [
            ("--likelihood", config.likelihood.kind != Likelihood::default()),
            ("--binarize", config.binarize != Binarize::None),
            ("--normalise", !matches!(config.normalise, None | Some(NormKind::None))),
            ("--upsample", config.upsample != Upsample::default()),
            ("--standardise", config.standardisation.is_some()),
        ];
        let expected = "no such option for text, whose likelihood is a probability for each word of the vocabulary";
        given.into_iter().try_for_each(|(option, given)| require(option, !given, expected, "one"))?;
        let fits = !config.prior.has_pseudo_inputs();
        require("--prior", fits, "another one than vamp-prior, whose inputs are images", "vamp-prior")?;
        let fits = !config.text.without_latents || config.prior.has_closed_form();
        require("--prior", fits, "standard-normal with --without-latents", "another")
    }
}
