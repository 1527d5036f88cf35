//! The decoder of sentences: first states from the latents, layers over sentences, and the logits of each word.

use super::Text;
use crate::Error;
use crate::data::batch::TokenBatch;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{
    Activation, Dropout, Epilogue, Layer, Places, Positions, Recording, Sequence, SequencePurpose, SequenceState, sum,
};
use crate::vae::text::TextDecoder;

/// The decoder with its values.
#[derive(Debug)]
pub(in crate::vae) struct Decoder {
    pub(super) layers: TextDecoder,
    /// `(T * B * K, E)`, or with latents `(T * B * K, E + L)`.
    input: Tensor,
    starts: Vec<Start>,
    /// The layers over sentences.
    pub sequence: Sequence,
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
    dstarts: Vec<Tensor>,
}

impl Decoder {
    pub(super) fn new(
        gpu: &Gpu,
        layers: TextDecoder,
        [length, rows]: [usize; 2],
        tokens: &TokenBatch,
        purpose: SequencePurpose,
    ) -> Result<Decoder, Error> {
        let sequence = Sequence::new(gpu, &layers.layers, &tokens.lengths, [length, rows], purpose)?;
        let input = || Tensor::zeros(gpu, length * rows, layers.embedding.width + layers.latents);
        let of_starts = || layers.starts.iter().map(|start| Tensor::zeros(gpu, rows, start.output().len()));
        let firsts = sequence.layers().filter_map(SequenceState::first);
        let starts = firsts.zip(of_starts()).map(|(first, own)| {
            let slope = own?;
            let of_cell = first.cell.cloned().map(Ok);
            let value = of_cell.unwrap_or_else(|| Tensor::zeros(gpu, rows, slope.columns()))?;
            Ok(Start { value, slope })
        });
        let starts = starts.collect::<Result<_, Error>>()?;
        let of_backward = || -> Result<_, Error> {
            Ok(DecoderGradients {
                dinput: input()?,
                places: layers.embedding.places(gpu, &tokens.inputs)?,
                dstarts: of_starts().collect::<Result<_, _>>()?,
            })
        };
        let gradients = (purpose == SequencePurpose::Training).then(of_backward).transpose()?;
        Ok(Decoder {
            input: input()?,
            starts,
            output: Tensor::zeros(gpu, length * rows, layers.output.output().len())?,
            log_probs: Tensor::zeros(gpu, 1, length * rows)?,
            dropouts: [0, 1].map(|layer| Dropout { probability: layers.dropout, layer }),
            layers,
            sequence,
            gradients,
        })
    }

    /// Records the first states: `start = W z + b`, `state = tanh(start)`; an LSTM's first cell is `start`.
    pub(super) fn start(&self, recording: Recording<'_>, z: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        let firsts = self.sequence.layers().filter_map(SequenceState::first);
        for ((layer, Start { value, slope }), first) in self.layers.starts.iter().zip(&self.starts).zip(firsts) {
            dispatches.extend(layer.forward(recording, z, &Epilogue::store(value))?);
            let activated = Activation::Tanh.forward(recording.at.gpu, first.state, Some(slope))?;
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
        let TextDecoder { embedding, latents, output, .. } = &self.layers;
        let all = recording.over_sequence();
        let latents = (*latents > 0).then_some(z);
        let mut dispatches = vec![embedding.look_up(all.at, recording.parameters, inputs, latents, &self.input)?];
        let of_last = self.sequence.last().output();
        let dropouts = self.dropouts.map(|dropout| dropout.of(recording.mode));
        dispatches.extend(dropouts[0].record(all.at, &self.input, embedding.width)?);
        dispatches.extend(self.sequence.forward(recording, positions, &self.input)?);
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
        let TextDecoder { embedding, starts, latents, output, .. } = &self.layers;
        let gradients = self.gradients.as_ref().expect("a backward pass is recorded for a network that trains");
        let DecoderGradients { dinput, places, dstarts } = gradients;
        let (all, last) = (recording.over_sequence(), self.sequence.last());
        let doutput = last.doutput();
        let (of_last, store) = (last.output(), Epilogue::store(doutput));
        let mut dispatches = output.backward(all, parameters, of_last, &self.output, Some(&store))?;
        dispatches.extend(self.dropouts[1].record(all.at, doutput, doutput.columns())?);
        dispatches.extend(self.sequence.backward(recording, &text.positions, parameters, [&self.input, dinput])?);
        dispatches.extend(self.dropouts[0].record(all.at, dinput, embedding.width)?);
        dispatches.extend(embedding.backward(all.at, parameters, (&text.batch.inputs, places), dinput, false)?);
        let of_firsts = self.sequence.layers().filter_map(|layer| layer.first()?.gradients);
        for (index, ((start, dstart), (dstate, dcell))) in starts.iter().zip(dstarts).zip(of_firsts).enumerate() {
            let through = Activation::Tanh.backward(&self.starts[index].slope, dstart)?;
            dispatches.push(sum(recording, dstate, None, &through)?);
            if let Some(dcell) = dcell {
                dispatches.push(sum(recording, dcell, None, &Epilogue::onto(dstart))?);
            }
            let onto = if index == 0 { Epilogue::store(dz) } else { Epilogue::onto(dz) };
            dispatches.extend(start.backward(recording, parameters, z, dstart, Some(&onto))?);
        }
        if *latents > 0 {
            dispatches.push(embedding.backward_latents(all.at, dinput, dz, !starts.is_empty())?);
        }
        Ok(dispatches)
    }
}
