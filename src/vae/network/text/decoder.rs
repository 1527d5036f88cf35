//! The decoder of sentences: first states from the latents, recurrent layers, and the logits of each word.

use super::{Text, backward, forward, gradients};
use crate::Error;
use crate::data::batch::TokenBatch;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{
    Activation, Cell, Dropout, Epilogue, Layer, Places, Positions, Recording, RecurrentGradients, RecurrentValues, sum,
};
use crate::vae::text::TextDecoder;

/// The decoder with its values.
#[derive(Debug)]
pub(in crate::vae) struct Decoder {
    pub(super) layers: TextDecoder,
    /// `(T * B * K, E)`, or with latents `(T * B * K, E + L)`.
    input: Tensor,
    starts: Vec<Start>,
    /// The values of each recurrent layer.
    pub values: Vec<RecurrentValues>,
    /// Of the embeddings, and of the last states.
    dropouts: [Dropout; 2],
    /// `(T * B * K, V)`: the logits, later the gradient with respect to them.
    pub output: Tensor,
    pub(super) log_probs: Tensor,
    gradients: Option<DecoderGradients>,
}

/// A first state, `(B * K, H)`: before its activation, and the activation's derivative, later the gradient before it.
#[derive(Debug)]
struct Start {
    value: Tensor,
    slope: Tensor,
}

#[derive(Debug)]
struct DecoderGradients {
    dinput: Tensor,
    places: Places,
    layers: Vec<RecurrentGradients>,
    dstarts: Vec<Tensor>,
}

impl Decoder {
    pub(super) fn new(
        gpu: &Gpu,
        layers: TextDecoder,
        [length, rows]: [usize; 2],
        tokens: &TokenBatch,
        trains: bool,
    ) -> Result<Decoder, Error> {
        let values = layers.layers.iter().map(|layer| layer.values(gpu, length, rows));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let latents = layers.starts.first().map_or(0, |start| start.input().len());
        let input = || Tensor::zeros(gpu, length * rows, layers.embedding.width + latents);
        let of_starts = || layers.starts.iter().map(|start| Tensor::zeros(gpu, rows, start.output().len()));
        let starts = values.iter().zip(of_starts()).map(|(values, own)| {
            let slope = own?;
            let is_cell = values.cell.rows() > 0;
            let value = if is_cell { values.cell.clone() } else { Tensor::zeros(gpu, rows, slope.columns())? };
            Ok(Start { value, slope })
        });
        let of_backward = || -> Result<_, Error> {
            Ok(DecoderGradients {
                dinput: input()?,
                places: layers.embedding.places(gpu, &tokens.inputs)?,
                layers: gradients(gpu, &layers.layers, &values)?,
                dstarts: of_starts().collect::<Result<_, _>>()?,
            })
        };
        let gradients = trains.then(of_backward).transpose()?;
        Ok(Decoder {
            input: input()?,
            starts: starts.collect::<Result<_, Error>>()?,
            output: Tensor::zeros(gpu, length * rows, layers.output.output().len())?,
            log_probs: Tensor::zeros(gpu, 1, length * rows)?,
            dropouts: [0, 1].map(|layer| Dropout { probability: layers.dropout, layer }),
            layers,
            values,
            gradients,
        })
    }

    /// Moves states between rows, after a position: row `i` goes on from row `from[i]`. An LSTM's cells become those before the next
    /// position.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn keep_states(&self, gpu: &Gpu, from: &[usize]) -> Result<(), Error> {
        let are_moved = from.iter().enumerate().any(|(to, from)| to != *from);
        for values in &self.values {
            let rows = values.state.rows();
            let moved = |all: &[f32]| -> Vec<f32> {
                let columns = all.len() / rows;
                from.iter().flat_map(|row| &all[row * columns..][..columns]).copied().collect()
            };
            if are_moved {
                values.state.write(gpu, &moved(&values.state.read::<f32>(gpu)?))?;
            }
            if let Some(cells) = values.cells_after(gpu)? {
                values.cell.write(gpu, &moved(&cells))?;
            }
        }
        Ok(())
    }

    /// Records the first states: `start = W z + b`, `state = tanh(start)`; an LSTM's first cell is `start`.
    pub(super) fn start(&self, recording: Recording<'_>, z: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        for ((layer, Start { value, slope }), values) in self.layers.starts.iter().zip(&self.starts).zip(&self.values) {
            dispatches.extend(layer.forward(recording, z, &Epilogue::store(value))?);
            let activated = Activation::Tanh.forward(recording.at.gpu, &values.state, Some(slope))?;
            dispatches.push(sum(recording, value, None, &activated)?);
        }
        Ok(dispatches)
    }

    /// Records the logits of each position from the tokens before it, after the first states.
    pub(super) fn logits(
        &self,
        recording: Recording<'_>,
        positions: &Positions,
        inputs: &Tensor,
        z: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        let TextDecoder { embedding, starts, layers, output, .. } = &self.layers;
        let all = recording.over_sequence();
        let latents = (!starts.is_empty()).then_some(z);
        let mut dispatches = vec![embedding.look_up(all.at, recording.parameters, inputs, latents, &self.input)?];
        let of_last = &self.values[layers.len() - 1].output;
        let dropouts = self.dropouts.map(|dropout| dropout.of(recording.mode));
        dispatches.extend(dropouts[0].record(all.at, &self.input, embedding.width)?);
        dispatches.extend(forward(recording, positions, layers, &self.input, &self.values)?);
        dispatches.extend(dropouts[1].record(all.at, of_last, of_last.columns())?);
        dispatches.extend(output.forward(all, of_last, &Epilogue::store(&self.output))?);
        Ok(dispatches)
    }

    pub(super) fn backward(
        &self,
        recording: Recording<'_>,
        text: &Text,
        parameters: &Arena,
        [z, dz]: [&Tensor; 2],
    ) -> Result<Vec<Dispatch>, Error> {
        let TextDecoder { embedding, starts, layers, output, .. } = &self.layers;
        let gradients = self.gradients.as_ref().expect("a backward pass is recorded for a network that trains");
        let DecoderGradients { dinput, places, layers: of_layers, dstarts } = gradients;
        let (all, last) = (recording.over_sequence(), layers.len() - 1);
        let doutput = &of_layers[last].doutput;
        let (of_last, store) = (&self.values[last].output, Epilogue::store(doutput));
        let mut dispatches = output.backward(all, parameters, of_last, &self.output, Some(&store))?;
        dispatches.extend(self.dropouts[1].record(all.at, doutput, doutput.columns())?);
        let values = (&self.input, self.values.as_slice(), of_layers.as_slice());
        dispatches.extend(backward(recording, &text.positions, layers, parameters, values, dinput)?);
        dispatches.extend(self.dropouts[0].record(all.at, dinput, embedding.width)?);
        dispatches.extend(embedding.backward(all.at, parameters, (&text.batch.inputs, places), dinput, false)?);
        for (index, (start, dstart)) in starts.iter().zip(dstarts).enumerate() {
            let through = Activation::Tanh.backward(&self.starts[index].slope, dstart)?;
            dispatches.push(sum(recording, &of_layers[index].dstate, None, &through)?);
            if layers[index].cell() == Cell::Lstm {
                dispatches.push(sum(recording, &of_layers[index].dcell, None, &Epilogue::onto(dstart))?);
            }
            let onto = if index == 0 { Epilogue::store(dz) } else { Epilogue::onto(dz) };
            dispatches.extend(start.backward(recording, parameters, z, dstart, Some(&onto))?);
        }
        if !starts.is_empty() {
            dispatches.push(embedding.backward_latents(all.at, dinput, dz)?);
        }
        Ok(dispatches)
    }
}
