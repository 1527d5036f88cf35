//! The encoder of sentences: layers in one direction or in both, whose last states, or means over positions, make the posterior.

use super::Text;
use crate::Error;
use crate::data::batch::TokenBatch;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{Epilogue, Layer, Places, Recording, Sequence, SequencePurpose, average, share_out, spread, take};
use crate::vae::text::TextEncoder;

/// The encoder with its values.
#[derive(Debug)]
pub(super) struct Encoder {
    pub layers: TextEncoder,
    directions: Vec<Direction>,
    /// `(B, H)`, or `(B, 2 H)`: what describes each sentence, that of the second direction after that of the first.
    summary: Tensor,
    /// The gradient with respect to it, if the network trains.
    dsummary: Option<Tensor>,
}

/// The layers over the tokens, or over the tokens in reverse.
#[derive(Debug)]
struct Direction {
    tokens: Tensor,
    /// `(T * B, E)`.
    embedded: Tensor,
    layers: Sequence,
    gradients: Option<DirectionGradients>,
}

#[derive(Debug)]
struct DirectionGradients {
    dembedded: Tensor,
    places: Places,
}

impl Encoder {
    pub fn new(
        gpu: &Gpu,
        layers: TextEncoder,
        [length, batch]: [usize; 2],
        of_batch: &TokenBatch,
        purpose: SequencePurpose,
    ) -> Result<Encoder, Error> {
        let trains = purpose == SequencePurpose::Training;
        let directions = layers.directions.iter().zip([&of_batch.targets, &of_batch.reversed]).map(|(own, tokens)| {
            let own = Sequence::new(gpu, own, &of_batch.lengths, [length, batch], purpose)?;
            let embedded = || Tensor::zeros(gpu, length * batch, layers.embedding.width);
            let of_backward = || -> Result<_, Error> {
                let places = layers.embedding.places(gpu, tokens)?;
                Ok(DirectionGradients { dembedded: embedded()?, places })
            };
            let gradients = trains.then(of_backward).transpose()?;
            Ok(Direction { tokens: tokens.clone(), embedded: embedded()?, layers: own, gradients })
        });
        let directions = directions.collect::<Result<_, Error>>()?;
        let summary = || Tensor::zeros(gpu, batch, layers.posterior.input().len());
        let dsummary = trains.then(summary).transpose()?;
        Ok(Encoder { directions, summary: summary()?, dsummary, layers })
    }

    pub fn forward(&self, recording: Recording<'_>, text: &Text, posterior: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let all = recording.over_sequence().at;
        let mut dispatches = Vec::new();
        for (index, Direction { layers, tokens, embedded, .. }) in self.directions.iter().enumerate() {
            let embedding = &self.layers.embedding;
            dispatches.push(embedding.look_up(all, recording.parameters, tokens, None, embedded)?);
            dispatches.extend(layers.forward(recording, &text.positions, embedded)?);
            let (at, lengths, output) = (recording.at, &text.batch.lengths, layers.last().output());
            dispatches.push(match self.layers.by_last {
                true => take(at, lengths, output, &self.summary, index)?,
                false => average(at, lengths, output, &self.summary)?,
            });
        }
        dispatches.extend(self.layers.posterior.forward(recording, &self.summary, &Epilogue::store(posterior))?);
        Ok(dispatches)
    }

    pub fn backward(
        &self,
        recording: Recording<'_>,
        text: &Text,
        parameters: &Arena,
        dposterior: &Tensor,
        accumulate: bool,
    ) -> Result<Vec<Dispatch>, Error> {
        let TextEncoder { embedding, posterior, .. } = &self.layers;
        let trains = "a backward pass is recorded for a network that trains";
        let (all, dsummary) = (recording.over_sequence().at, self.dsummary.as_ref().expect(trains));
        let store = Epilogue::store(dsummary);
        let mut dispatches = posterior.backward(recording, parameters, &self.summary, dposterior, Some(&store))?;
        for (index, direction) in self.directions.iter().enumerate() {
            let Direction { layers, tokens, embedded, gradients } = direction;
            let DirectionGradients { dembedded, places } = gradients.as_ref().expect(trains);
            let (at, lengths, doutput) = (recording.at, &text.batch.lengths, layers.last().doutput());
            dispatches.push(match self.layers.by_last {
                true => spread(at, lengths, dsummary, doutput, index)?,
                false => share_out(at, lengths, dsummary, doutput)?,
            });
            dispatches.extend(layers.backward(recording, &text.positions, parameters, [embedded, dembedded])?);
            let adds = accumulate || index > 0;
            dispatches.extend(embedding.backward(all, parameters, (tokens, places), dembedded, adds)?);
        }
        Ok(dispatches)
    }
}
