//! The encoder of sentences: recurrent layers in one direction or in both, whose last states make the posterior.

use super::{Text, backward, forward, gradients};
use crate::Error;
use crate::data::batch::TokenBatch;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{Epilogue, Layer, Places, Recording, Recurrent, RecurrentGradients, RecurrentValues, spread, take};
use crate::vae::text::TextEncoder;

/// The encoder with its values.
#[derive(Debug)]
pub(super) struct Encoder {
    pub layers: TextEncoder,
    directions: Vec<Direction>,
    /// `(B, H)`, or `(B, 2 H)`: the last states of each sentence, those of the second direction after those of the first.
    last: Tensor,
    /// The gradient with respect to them, if the network trains.
    dlast: Option<Tensor>,
}

/// The layers over the tokens, or over the tokens in reverse.
#[derive(Debug)]
struct Direction {
    layers: Vec<Recurrent>,
    tokens: Tensor,
    /// `(T * B, E)`.
    embedded: Tensor,
    values: Vec<RecurrentValues>,
    gradients: Option<DirectionGradients>,
}

#[derive(Debug)]
struct DirectionGradients {
    dembedded: Tensor,
    places: Places,
    layers: Vec<RecurrentGradients>,
}

impl Encoder {
    pub fn new(
        gpu: &Gpu,
        layers: TextEncoder,
        [length, batch]: [usize; 2],
        tokens: &TokenBatch,
        trains: bool,
    ) -> Result<Encoder, Error> {
        let directions = layers.directions.iter().zip([&tokens.targets, &tokens.reversed]).map(|(own, tokens)| {
            let values = own.iter().map(|layer| layer.values(gpu, length, batch)).collect::<Result<Vec<_>, _>>()?;
            let embedded = || Tensor::zeros(gpu, length * batch, layers.embedding.width);
            let of_backward = || -> Result<_, Error> {
                let places = layers.embedding.places(gpu, tokens)?;
                Ok(DirectionGradients { dembedded: embedded()?, places, layers: gradients(gpu, own, &values)? })
            };
            let gradients = trains.then(of_backward).transpose()?;
            Ok(Direction { layers: own.clone(), tokens: tokens.clone(), embedded: embedded()?, values, gradients })
        });
        let directions = directions.collect::<Result<_, Error>>()?;
        let last = || Tensor::zeros(gpu, batch, layers.posterior.input().len());
        Ok(Encoder { directions, last: last()?, dlast: trains.then(last).transpose()?, layers })
    }

    pub fn forward(&self, recording: Recording<'_>, text: &Text, posterior: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let all = recording.over_sequence().at;
        let mut dispatches = Vec::new();
        for (index, Direction { layers, tokens, embedded, values, .. }) in self.directions.iter().enumerate() {
            let embedding = &self.layers.embedding;
            dispatches.push(embedding.look_up(all, recording.parameters, tokens, None, embedded)?);
            dispatches.extend(forward(recording, &text.positions, layers, embedded, values)?);
            let of_last = &values[layers.len() - 1].output;
            dispatches.push(take(recording.at, &text.batch.lengths, of_last, &self.last, index)?);
        }
        dispatches.extend(self.layers.posterior.forward(recording, &self.last, &Epilogue::store(posterior))?);
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
        let (all, dlast) = (recording.over_sequence().at, self.dlast.as_ref().expect(trains));
        let store = Epilogue::store(dlast);
        let mut dispatches = posterior.backward(recording, parameters, &self.last, dposterior, Some(&store))?;
        for (index, direction) in self.directions.iter().enumerate() {
            let Direction { layers, tokens, embedded, values, gradients } = direction;
            let DirectionGradients { dembedded, places, layers: of_layers } = gradients.as_ref().expect(trains);
            let doutput = &of_layers[layers.len() - 1].doutput;
            dispatches.push(spread(recording.at, &text.batch.lengths, dlast, doutput, index)?);
            let values = (embedded, values.as_slice(), of_layers.as_slice());
            dispatches.extend(backward(recording, &text.positions, layers, parameters, values, dembedded)?);
            let adds = accumulate || index > 0;
            dispatches.extend(embedding.backward(all, parameters, (tokens, places), dembedded, adds)?);
        }
        Ok(dispatches)
    }
}
