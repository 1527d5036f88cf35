//! The encoder and the decoder of sentences: embeddings and layers over sentences, with their values. Rows of a sequence are (position,
//! example, sample).

mod decoder;
mod encoder;

use super::{Gradients, Network, Purpose};
use crate::Error;
use crate::data::TextShape;
use crate::data::batch::{DeviceSentences, TokenBatch};
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::likelihood::tokens;
use crate::nn::{Mode, Positions, SequencePurpose};
use crate::step::At;
use crate::vae::Vae;
use crate::vae::text::TextLayers;
use decoder::Decoder;
use encoder::Encoder;

/// The layers and their values for one batch.
#[derive(Debug)]
pub(in crate::vae) struct Text {
    positions: Positions,
    word_dropout: f32,
    /// The tokens of a batch.
    pub batch: TokenBatch,
    /// None for a model without latents.
    encoder: Option<Encoder>,
    /// The decoder.
    pub decoder: Decoder,
}

impl Text {
    /// Makes the tensors for up to `batch` sentences.
    pub(super) fn new(
        vae: &Vae,
        shape: &TextShape,
        [batch, samples]: [usize; 2],
        purpose: Purpose,
    ) -> Result<Text, Error> {
        let (gpu, config) = (&vae.gpu, &vae.model.config);
        let TextLayers { encoder, decoder } = TextLayers::of(config, shape);
        let (length, purpose) = match purpose {
            Purpose::Training => (shape.length, SequencePurpose::Training),
            Purpose::Evaluation => (shape.length, SequencePurpose::Evaluation),
            Purpose::Writing => (1, SequencePurpose::OneByOne),
        };
        let tokens = TokenBatch::new(gpu, batch, length)?;
        Ok(Text {
            positions: Positions::new(gpu, length)?,
            word_dropout: config.text.word_dropout,
            encoder: encoder.map(|layers| Encoder::new(gpu, layers, [length, batch], &tokens, purpose)).transpose()?,
            decoder: Decoder::new(gpu, decoder, [length, batch * samples], &tokens, purpose)?,
            batch: tokens,
        })
    }

    pub fn gather(
        &self,
        at: At<'_>,
        sentences: &DeviceSentences,
        order: &Tensor,
        mode: Mode,
    ) -> Result<Dispatch, Error> {
        let word_dropout = if mode == Mode::Training { self.word_dropout } else { 0.0 };
        sentences.gather(at, order, &self.batch, word_dropout)
    }

    /// Records the encoder, from the batch to the posterior. Without latents, the posterior is the standard normal.
    pub fn encode(&self, network: &Network, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let Some(encoder) = &self.encoder else { return Ok(Vec::new()) };
        encoder.forward(network.recording(step, 1, mode), self, &network.posterior)
    }

    pub fn terms(&self, network: &Network, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let at = network.at(step);
        let mut dispatches = self.encode(network, step, mode)?;
        dispatches.push(network.distribution.draw(at, network.draws(), &network.kl)?);
        dispatches.extend(network.prior.forward(at, &network.z, &network.kl)?);
        let recording = network.recording(step, network.samples, mode);
        let decoder = &self.decoder;
        dispatches.extend(decoder.start(recording, &network.z)?);
        dispatches.extend(decoder.logits(recording, &self.positions, &self.batch.inputs, &network.z)?);
        let all = recording.over_sequence().at;
        let trains = mode == Mode::Training;
        dispatches.push(tokens::evaluate(all, &self.batch.targets, &decoder.output, &decoder.log_probs, trains)?);
        dispatches.push(tokens::sum(all, &decoder.log_probs, &network.log_prob)?);
        Ok(dispatches)
    }

    pub fn backward(&self, network: &Network, step: &Tensor, parameters: &Arena) -> Result<Vec<Dispatch>, Error> {
        let (at, draws, objective) = (network.at(step), network.draws(), network.objective.part());
        let recording = network.recording(step, network.samples, Mode::Training);
        let Gradients { dposterior, dz } = network.of_backward();
        let dz = dz.as_ref().expect("a model of text has the gradient of its latents");
        let scaled = network.objective.scale(recording.over_sequence().at, &self.decoder.output)?;
        let mut dispatches: Vec<_> = scaled.into_iter().collect();
        dispatches.extend(self.decoder.backward(recording, self, parameters, [&network.z, dz])?);
        let Some(encoder) = &self.encoder else { return Ok(dispatches) };
        dispatches.extend(network.prior.backward_z(at, &network.z)?);
        dispatches.push(network.distribution.backward(at, draws, objective, dz, dposterior)?);
        let shares = self.decoder.layers.embedding.parameter() == encoder.layers.embedding.parameter();
        let recording = network.recording(step, 1, Mode::Training);
        dispatches.extend(encoder.backward(recording, self, parameters, dposterior, shares)?);
        Ok(dispatches)
    }

    /// Records a position of the decoder: the tokens before it, and the state, which is kept in the values. The network has one position.
    pub fn next_logits(&self, network: &Network, step: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let recording = network.recording(step, network.samples, Mode::Evaluation);
        self.decoder.logits(recording, &self.positions, &self.batch.inputs, &network.z)
    }

    /// Records the first states from the latents.
    pub fn start(&self, network: &Network, step: &Tensor) -> Result<Vec<Dispatch>, Error> {
        self.decoder.start(network.recording(step, network.samples, Mode::Evaluation), &network.z)
    }
}
