//! Layers over sentences: what recurrent layers and dilated convolutions have in common.
//!
//! Rows are those of a sequence: (position, example, sample).

use std::fmt;
use std::str::FromStr;

use super::recurrent::RecurrentState;
use super::{Cell, Dense, Dilated, Epilogue, ParameterSpec, Positions, Recording, Recurrent};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};

/// The kind of a layer over sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceKind {
    /// A state passes from one position to the next.
    Recurrent(Cell),
    /// Dilated convolutions.
    Dilated,
}

/// A layer over sentences as users write it: `gru256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceSpec {
    /// The kind.
    pub kind: SequenceKind,
    /// Values for each position.
    pub units: usize,
}

const KINDS: [(&str, SequenceKind); 3] = [
    ("gru", SequenceKind::Recurrent(Cell::Gru)),
    ("lstm", SequenceKind::Recurrent(Cell::Lstm)),
    ("cnn", SequenceKind::Dilated),
];

impl FromStr for SequenceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<SequenceSpec, String> {
        let of = |(name, kind): (&str, SequenceKind)| {
            let units = text.strip_prefix(name)?.parse().ok()?;
            Some(SequenceSpec { kind, units })
        };
        KINDS.into_iter().find_map(of).ok_or_else(|| format!("no such layer: {text}"))
    }
}

impl fmt::Display for SequenceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        write!(f, "{name}{}", self.units)
    }
}

/// What the values of a layer are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequencePurpose {
    /// A backward pass follows.
    Training,
    /// All positions at once.
    Evaluation,
    /// A position at a time: the state goes on from one to the next.
    OneByOne,
}

/// A layer over sentences.
#[derive(Clone, Debug)]
pub enum SequenceLayer {
    /// A recurrent layer.
    Recurrent(Recurrent),
    /// Dilated convolutions.
    Dilated(Dilated),
}

impl SequenceLayer {
    /// Describes a layer of an encoder, which sees whole sentences.
    pub fn encoder(name: &str, spec: SequenceSpec, inputs: usize) -> SequenceLayer {
        SequenceLayer::new(name, spec, inputs, (true, false))
    }

    /// Describes a layer of a decoder, which sees no position after its own. The caller sets the first state, unless it is 0.
    pub fn decoder(name: &str, spec: SequenceSpec, inputs: usize, starts_at_zero: bool) -> SequenceLayer {
        SequenceLayer::new(name, spec, inputs, (starts_at_zero, true))
    }

    fn new(name: &str, spec: SequenceSpec, inputs: usize, (starts_at_zero, causal): (bool, bool)) -> SequenceLayer {
        let units = spec.units;
        match spec.kind {
            SequenceKind::Recurrent(cell) => {
                SequenceLayer::Recurrent(Recurrent::new(name, cell, [inputs, units], starts_at_zero))
            }
            SequenceKind::Dilated => SequenceLayer::Dilated(Dilated::new(name, units, inputs, causal)),
        }
    }

    /// Its parameters.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        match self {
            SequenceLayer::Recurrent(layer) => layer.parameters(),
            SequenceLayer::Dilated(layer) => layer.parameters(),
        }
    }

    /// Its outputs in PyTorch, for a writer of modules: a call of a function of its kind with `h`, `(B, T, inputs)`. It can use
    /// `layer(name)`, `counted`, `(B, T)`, whether a sentence has that position, and the latents `z` if a layer makes its first state.
    pub(crate) fn in_pytorch(&self, start: Option<&Dense>) -> String {
        match self {
            SequenceLayer::Recurrent(layer) => layer.in_pytorch(start),
            SequenceLayer::Dilated(layer) => layer.in_pytorch(),
        }
    }

    /// The columns of its tensors.
    pub fn widths(&self) -> [usize; 2] {
        match self {
            SequenceLayer::Recurrent(layer) => layer.widths(),
            SequenceLayer::Dilated(layer) => layer.widths(),
        }
    }

    /// Floating-point operations of the forward pass for one position.
    pub fn flops(&self) -> f64 {
        match self {
            SequenceLayer::Recurrent(layer) => layer.flops(),
            SequenceLayer::Dilated(layer) => layer.flops(),
        }
    }

    /// Makes the tensors for `rows` draws of sentences with up to `length` positions, whose lengths are in a tensor, `(B)`.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn state(
        &self,
        gpu: &Gpu,
        lengths: &Tensor,
        [length, rows]: [usize; 2],
        purpose: SequencePurpose,
    ) -> Result<Box<dyn SequenceState>, Error> {
        Ok(match self {
            SequenceLayer::Recurrent(layer) => Box::new(RecurrentState::new(gpu, layer, [length, rows], purpose)?),
            SequenceLayer::Dilated(layer) => Box::new(layer.state(gpu, lengths, [length, rows], purpose)?),
        })
    }
}

/// The state before the first position, which the caller sets, and the gradients with respect to it after the backward pass.
#[derive(Debug)]
pub struct FirstState<'a> {
    /// `(B * samples, H)`.
    pub state: &'a Tensor,
    /// The same for an LSTM's cells.
    pub cell: Option<&'a Tensor>,
    /// Those of both, if there is a backward pass.
    pub gradients: Option<(&'a Tensor, Option<&'a Tensor>)>,
}

/// A layer over sentences with its values for one batch.
pub trait SequenceState: fmt::Debug {
    /// `(T * B * samples, H)`.
    fn output(&self) -> &Tensor;

    /// The gradient with respect to the output, which the caller writes.
    ///
    /// # Panics
    ///
    /// If the values were not made for training: a bug.
    fn doutput(&self) -> &Tensor;

    /// The first state, if the layer has one.
    fn first(&self) -> Option<FirstState<'_>> {
        None
    }

    /// Records the layer, from an input, `(T * B * samples, inputs)`, to its output.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the input has another shape.
    fn forward(&self, recording: Recording<'_>, positions: &Positions, input: &Tensor) -> Result<Vec<Dispatch>, Error>;

    /// Records the gradients of the parameters from that of the output, and that with respect to the input, which the epilogue gets. It may
    /// overwrite the values.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    fn backward(
        &self,
        recording: Recording<'_>,
        positions: &Positions,
        parameters: &Arena,
        input: &Tensor,
        dinput: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error>;

    /// Goes on to the next position of sentences that are written one by one: row `i` goes on from row `from[i]`.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    fn keep(&self, gpu: &Gpu, from: &[usize]) -> Result<(), Error>;
}

/// Layers on top of each other, with their values.
#[derive(Debug)]
pub struct Sequence(Vec<Box<dyn SequenceState>>);

impl Sequence {
    /// Makes the tensors of layers, as [`SequenceLayer::state`].
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(
        gpu: &Gpu,
        layers: &[SequenceLayer],
        lengths: &Tensor,
        size: [usize; 2],
        purpose: SequencePurpose,
    ) -> Result<Sequence, Error> {
        layers.iter().map(|layer| layer.state(gpu, lengths, size, purpose)).collect::<Result<_, _>>().map(Sequence)
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> impl Iterator<Item = &dyn SequenceState> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The layer whose output is that of all.
    pub fn last(&self) -> &dyn SequenceState {
        self.0[self.0.len() - 1].as_ref()
    }

    /// Records layers, each on the output of the one below.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the input has another shape.
    pub fn forward(
        &self,
        recording: Recording<'_>,
        positions: &Positions,
        input: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        let (mut dispatches, mut input) = (Vec::new(), input);
        for layer in &self.0 {
            dispatches.extend(layer.forward(recording, positions, input)?);
            input = layer.output();
        }
        Ok(dispatches)
    }

    /// Records the gradients of layers, the last one first, and that with respect to the input of the first.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    pub fn backward(
        &self,
        recording: Recording<'_>,
        positions: &Positions,
        parameters: &Arena,
        [input, dinput]: [&Tensor; 2],
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        for (index, layer) in self.0.iter().enumerate().rev() {
            let (from, to) = match index.checked_sub(1).map(|below| &self.0[below]) {
                None => (input, dinput),
                Some(below) => (below.output(), below.doutput()),
            };
            dispatches.extend(layer.backward(recording, positions, parameters, from, &Epilogue::store(to))?);
        }
        Ok(dispatches)
    }

    /// As [`SequenceState::keep`], for all layers.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn keep(&self, gpu: &Gpu, from: &[usize]) -> Result<(), Error> {
        self.0.iter().try_for_each(|layer| layer.keep(gpu, from))
    }
}

/// Moves the rows of each of several positions: row `i` becomes what row `from[i]` was.
pub(super) fn move_rows(gpu: &Gpu, tensor: &Tensor, from: &[usize]) -> Result<(), Error> {
    if from.iter().enumerate().all(|(to, from)| to == *from) {
        return Ok(());
    }
    let (all, columns) = (tensor.read::<f32>(gpu)?, tensor.columns());
    let moved = all
        .chunks(from.len() * columns)
        .flat_map(|position| from.iter().flat_map(move |row| &position[row * columns..][..columns]));
    tensor.write(gpu, &moved.copied().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_a_kind_and_a_width() {
        for (text, kind, units) in [
            ("gru256", SequenceKind::Recurrent(Cell::Gru), 256),
            ("lstm4", SequenceKind::Recurrent(Cell::Lstm), 4),
            ("cnn64", SequenceKind::Dilated, 64),
        ] {
            let spec: SequenceSpec = text.parse().unwrap();
            assert_eq!((spec, spec.to_string().as_str()), (SequenceSpec { kind, units }, text));
        }
        for wrong in ["gru", "rnn256", "gru25x", "lstm-1", "256", "cnn"] {
            assert!(wrong.parse::<SequenceSpec>().is_err(), "{wrong}");
        }
    }
}
