//! The encoder and the decoder of sentences: embeddings and recurrent layers, with their values. Rows of a sequence are (position,
//! example, sample).

use super::{Gradients, Network, Purpose};
use crate::Error;
use crate::data::TextShape;
use crate::data::batch::{DeviceSentences, TokenBatch};
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::likelihood::tokens;
use crate::nn::{
    Activation, Cell, Epilogue, Layer, Mode, Places, Positions, Recording, Recurrent, RecurrentGradients,
    RecurrentValues, spread, sum, take,
};
use crate::step::At;
use crate::vae::Vae;
use crate::vae::text::{TextDecoder, TextEncoder, TextLayers};

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

#[derive(Debug)]
struct Encoder {
    layers: TextEncoder,
    /// `(T * B, E)`.
    embedded: Tensor,
    values: Vec<RecurrentValues>,
    /// `(B, H)`: the last state of each sentence.
    last: Tensor,
    gradients: Option<EncoderGradients>,
}

#[derive(Debug)]
struct EncoderGradients {
    dembedded: Tensor,
    places: Places,
    layers: Vec<RecurrentGradients>,
    dlast: Tensor,
}

/// The decoder with its values.
#[derive(Debug)]
pub(in crate::vae) struct Decoder {
    layers: TextDecoder,
    /// `(T * B * K, E)`, or with latents `(T * B * K, E + L)`.
    input: Tensor,
    starts: Vec<Start>,
    /// The values of each recurrent layer.
    pub values: Vec<RecurrentValues>,
    /// `(T * B * K, V)`: the logits, later the gradient with respect to them.
    pub output: Tensor,
    log_probs: Tensor,
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

impl Text {
    /// Makes the tensors for up to `batch` sentences with `samples` draws each.
    pub(super) fn new(
        vae: &Vae,
        shape: &TextShape,
        [batch, samples]: [usize; 2],
        purpose: Purpose,
    ) -> Result<Text, Error> {
        let (gpu, config) = (&vae.gpu, &vae.model.config);
        let TextLayers { encoder, mut decoder } = TextLayers::of(config, shape);
        let writes = purpose == Purpose::Writing;
        if writes {
            // Its one position is not always the first.
            decoder.layers = decoder.layers.into_iter().map(Recurrent::going_on).collect();
        }
        let (length, trains) = (if writes { 1 } else { shape.length }, purpose == Purpose::Training);
        let tokens = TokenBatch::new(gpu, batch, length)?;
        let sizes = [length, batch];
        Ok(Text {
            positions: Positions::new(gpu, length)?,
            word_dropout: config.text.word_dropout,
            encoder: encoder.map(|layers| Encoder::new(gpu, layers, sizes, &tokens, trains)).transpose()?,
            decoder: Decoder::new(gpu, decoder, [sizes[0], batch * samples], &tokens, trains)?,
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

impl Encoder {
    fn new(
        gpu: &Gpu,
        layers: TextEncoder,
        [length, batch]: [usize; 2],
        tokens: &TokenBatch,
        trains: bool,
    ) -> Result<Encoder, Error> {
        let values = layers.layers.iter().map(|layer| layer.values(gpu, length, batch));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let last = || Tensor::zeros(gpu, batch, layers.posterior.input().len());
        let embedded = || Tensor::zeros(gpu, length * batch, layers.embedding.width);
        let gradients = match trains {
            false => None,
            true => Some(EncoderGradients {
                dembedded: embedded()?,
                places: layers.embedding.places(gpu, &tokens.targets)?,
                layers: gradients(gpu, &layers.layers, &values)?,
                dlast: last()?,
            }),
        };
        Ok(Encoder { embedded: embedded()?, last: last()?, layers, values, gradients })
    }

    fn forward(&self, recording: Recording<'_>, text: &Text, posterior: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let TextEncoder { embedding, layers, posterior: output } = &self.layers;
        let all = recording.over_sequence().at;
        let tokens = &text.batch.targets;
        let mut dispatches = vec![embedding.look_up(all, recording.parameters, tokens, None, &self.embedded)?];
        dispatches.extend(forward(recording, &text.positions, layers, &self.embedded, &self.values)?);
        let of_last = &self.values[layers.len() - 1].output;
        dispatches.push(take(recording.at, &text.batch.lengths, of_last, &self.last)?);
        dispatches.extend(output.forward(recording, &self.last, &Epilogue::store(posterior))?);
        Ok(dispatches)
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        text: &Text,
        parameters: &Arena,
        dposterior: &Tensor,
        accumulate: bool,
    ) -> Result<Vec<Dispatch>, Error> {
        let TextEncoder { embedding, layers, posterior } = &self.layers;
        let gradients = self.gradients.as_ref().expect("a backward pass is recorded for a network that trains");
        let EncoderGradients { dembedded, places, layers: of_layers, dlast } = gradients;
        let store = Epilogue::store(dlast);
        let mut dispatches = posterior.backward(recording, parameters, &self.last, dposterior, Some(&store))?;
        dispatches.push(spread(recording.at, &text.batch.lengths, dlast, &of_layers[layers.len() - 1].doutput)?);
        let values = (&self.embedded, self.values.as_slice(), of_layers.as_slice());
        dispatches.extend(backward(recording, &text.positions, layers, parameters, values, dembedded)?);
        let (all, tokens) = (recording.over_sequence().at, (&text.batch.targets, places));
        dispatches.extend(embedding.backward(all, parameters, tokens, dembedded, accumulate)?);
        Ok(dispatches)
    }
}

impl Decoder {
    fn new(
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
        let gradients = match trains {
            false => None,
            true => Some(DecoderGradients {
                dinput: input()?,
                places: layers.embedding.places(gpu, &tokens.inputs)?,
                layers: gradients(gpu, &layers.layers, &values)?,
                dstarts: of_starts().collect::<Result<_, _>>()?,
            }),
        };
        Ok(Decoder {
            input: input()?,
            starts: starts.collect::<Result<_, Error>>()?,
            output: Tensor::zeros(gpu, length * rows, layers.output.output().len())?,
            log_probs: Tensor::zeros(gpu, 1, length * rows)?,
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
    fn start(&self, recording: Recording<'_>, z: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        for ((layer, Start { value, slope }), values) in self.layers.starts.iter().zip(&self.starts).zip(&self.values) {
            dispatches.extend(layer.forward(recording, z, &Epilogue::store(value))?);
            let activated = Activation::Tanh.forward(recording.at.gpu, &values.state, Some(slope))?;
            dispatches.push(sum(recording, value, None, &activated)?);
        }
        Ok(dispatches)
    }

    /// Records the logits of each position from the tokens before it, after the first states.
    fn logits(
        &self,
        recording: Recording<'_>,
        positions: &Positions,
        inputs: &Tensor,
        z: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        let TextDecoder { embedding, starts, layers, output } = &self.layers;
        let all = recording.over_sequence();
        let latents = (!starts.is_empty()).then_some(z);
        let mut dispatches = vec![embedding.look_up(all.at, recording.parameters, inputs, latents, &self.input)?];
        dispatches.extend(forward(recording, positions, layers, &self.input, &self.values)?);
        let of_last = &self.values[layers.len() - 1].output;
        dispatches.extend(output.forward(all, of_last, &Epilogue::store(&self.output))?);
        Ok(dispatches)
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        text: &Text,
        parameters: &Arena,
        [z, dz]: [&Tensor; 2],
    ) -> Result<Vec<Dispatch>, Error> {
        let TextDecoder { embedding, starts, layers, output } = &self.layers;
        let gradients = self.gradients.as_ref().expect("a backward pass is recorded for a network that trains");
        let DecoderGradients { dinput, places, layers: of_layers, dstarts } = gradients;
        let (all, last) = (recording.over_sequence(), layers.len() - 1);
        let store = Epilogue::store(&of_layers[last].doutput);
        let mut dispatches = output.backward(all, parameters, &self.values[last].output, &self.output, Some(&store))?;
        let values = (&self.input, self.values.as_slice(), of_layers.as_slice());
        dispatches.extend(backward(recording, &text.positions, layers, parameters, values, dinput)?);
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

/// The tensors of a backward pass through layers.
fn gradients(gpu: &Gpu, layers: &[Recurrent], values: &[RecurrentValues]) -> Result<Vec<RecurrentGradients>, Error> {
    layers.iter().zip(values).map(|(layer, values)| layer.gradients(gpu, values)).collect()
}

/// Records layers, each on the output of the one below.
fn forward(
    recording: Recording<'_>,
    positions: &Positions,
    layers: &[Recurrent],
    input: &Tensor,
    values: &[RecurrentValues],
) -> Result<Vec<Dispatch>, Error> {
    let inputs = [input].into_iter().chain(values.iter().map(|values| &values.output));
    let mut dispatches = Vec::new();
    for ((layer, values), input) in layers.iter().zip(values).zip(inputs) {
        dispatches.extend(layer.forward(recording, positions, input, values)?);
    }
    Ok(dispatches)
}

/// Records the gradients of layers, the last one first, and that with respect to the input of the first.
fn backward(
    recording: Recording<'_>,
    positions: &Positions,
    layers: &[Recurrent],
    parameters: &Arena,
    (input, values, gradients): (&Tensor, &[RecurrentValues], &[RecurrentGradients]),
    dinput: &Tensor,
) -> Result<Vec<Dispatch>, Error> {
    let mut dispatches = Vec::new();
    for index in (0..layers.len()).rev() {
        let (from, to) = match index.checked_sub(1) {
            None => (input, dinput),
            Some(below) => (&values[below].output, &gradients[below].doutput),
        };
        let around = (from, &values[index], &gradients[index]);
        let store = Epilogue::store(to);
        dispatches.extend(layers[index].backward(recording, positions, parameters, around, Some(&store))?);
    }
    Ok(dispatches)
}
