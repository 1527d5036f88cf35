//! Dilated convolutions over sentences. The twin of `shaders/nn/dilated.wgsl` and of the files below it.
//!
//! A layer is a dense one at each position, and residual blocks: `h += W windows(relu(h)) + b`, where a window sees three positions
//! that are 1, 2, 4, 8 or 16 apart. A causal window sees no position after its own. There is no chain of positions: all are one
//! product. Rows are those of a sequence: (position, example, sample).

pub(crate) mod history;
mod mean;

pub use mean::{average, share_out};

use super::sequence::move_rows;
use super::{Dense, Epilogue, Layer, ParameterSpec, Positions, Recording, SequencePurpose, SequenceState};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Source, Tensor, source};
use crate::step::At;

const SOURCE: Source = source!("nn/dilated.wgsl");

/// Positions that a window sees.
pub(crate) const TAPS: usize = 3;

/// The distance between the positions of a window, block by block: those of Yang et al. 2017.
const DILATIONS: [usize; 5] = [1, 2, 4, 8, 16];

/// Where a block's windows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub dilation: usize,
    /// Positions from the first of a window to its own.
    pub before: usize,
}

impl Windows {
    fn part(self, lengths: &Tensor, values: &Tensor) -> Part {
        let part = Part::new(SOURCE).size("TAPS", TAPS).size("DILATION", self.dilation).size("BEFORE", self.before);
        part.bind("lengths", lengths).bind("values", values)
    }

    /// Records `windows[(p, draw), tap * C + c] = relu(values[(p + tap * dilation - before, draw), c])`, 0 outside the sentence.
    ///
    /// # Shapes
    ///
    /// - `lengths`: `(B)`
    /// - `values`: `(T * B * samples, C)`
    /// - `windows`: `(T * B * samples, TAPS * C)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    pub fn gather(self, at: At<'_>, lengths: &Tensor, values: &Tensor, windows: &Tensor) -> Result<Dispatch, Error> {
        let shape = [values.rows(), TAPS * values.columns()];
        require_shapes("windows of positions", [shape], [windows.shape()])?;
        let part = self.part(lengths, values).bind("windows", windows).offer("DVALUES_QUADS", values.stride() / 4);
        at.launch(part, "gather")?.over([windows.stride() / 4, windows.rows(), 1])
    }

    /// Records the gradient with respect to the values, which is added to the stored one.
    ///
    /// # Shapes
    ///
    /// - as those of [`Windows::gather`]
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    pub fn spread(
        self,
        at: At<'_>,
        lengths: &Tensor,
        values: &Tensor,
        [dwindows, dvalues]: [&Tensor; 2],
    ) -> Result<Dispatch, Error> {
        let shape = [values.rows(), TAPS * values.columns()];
        let shapes = [dwindows.shape(), dvalues.shape()];
        require_shapes("windows of positions", [shape, values.shape()], shapes)?;
        let part = self.part(lengths, values).bind("dwindows", dwindows).bind("dvalues", dvalues);
        at.launch(part, "spread")?.over([dvalues.stride() / 4, dvalues.rows(), 1])
    }
}

/// A layer of dilated convolutions; its parameters are in an arena under the names of dense layers, `name.input` and `name.0` to `name.4`.
#[derive(Clone, Debug)]
pub struct Dilated {
    units: usize,
    causal: bool,
    input: Dense,
    blocks: Vec<Dense>,
}

impl Dilated {
    /// Describes a layer.
    pub fn new(name: &str, units: usize, inputs: usize, causal: bool) -> Dilated {
        let block = |index: usize| Dense::new(format!("{name}.{index}"), TAPS * units, units);
        let input = Dense::new(format!("{name}.input"), inputs, units);
        Dilated { units, causal, input, blocks: (0..DILATIONS.len()).map(block).collect() }
    }

    fn dense(&self) -> impl Iterator<Item = &Dense> {
        [&self.input].into_iter().chain(&self.blocks)
    }

    /// As [`SequenceLayer::in_pytorch`](super::SequenceLayer::in_pytorch).
    pub(super) fn in_pytorch(&self) -> String {
        let layers: Vec<_> = self.dense().map(|dense| format!("layer(\"{}\")", dense.name())).collect();
        let causal = if self.causal { "True" } else { "False" };
        format!("dilated(h, counted, {causal}, {})", layers.join(", "))
    }

    /// `input.weight` `(H, inputs)`, and for each block a weight `(H, TAPS * H)`, each with a bias. The taps of
    /// `torch.nn.Conv1d`'s weight `(H, H, TAPS)` come before its inputs here.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        self.dense().flat_map(Layer::parameters).collect()
    }

    /// The columns of its tensors.
    pub fn widths(&self) -> [usize; 2] {
        [self.units, TAPS * self.units]
    }

    /// Floating-point operations of the forward pass for one position.
    pub fn flops(&self) -> f64 {
        self.dense().map(Layer::flops).sum()
    }

    fn windows(&self) -> impl DoubleEndedIterator<Item = Windows> + ExactSizeIterator {
        let taps_before = if self.causal { TAPS - 1 } else { TAPS / 2 };
        DILATIONS.into_iter().map(move |dilation| Windows { dilation, before: taps_before * dilation })
    }

    /// Makes the tensors for `rows` draws of sentences with up to `length` positions, whose lengths are in a tensor.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub(super) fn state(
        &self,
        gpu: &Gpu,
        lengths: &Tensor,
        [length, rows]: [usize; 2],
        purpose: SequencePurpose,
    ) -> Result<DilatedState, Error> {
        let all = |columns: usize| Tensor::zeros(gpu, length * rows, columns);
        let (units, taps) = (self.units, TAPS * self.units);
        let levels = (0..=self.blocks.len()).map(|_| all(units)).collect::<Result<_, _>>()?;
        let trains = purpose == SequencePurpose::Training;
        let count = if trains { self.blocks.len() } else { 1 };
        let windows = (0..count).map(|_| all(taps)).collect::<Result<_, _>>()?;
        let history = |dilation| Tensor::zeros(gpu, history::span(dilation) * rows, units);
        let histories = if purpose == SequencePurpose::OneByOne { &DILATIONS[..] } else { &[] };
        let gradients = trains.then(|| Ok::<_, Error>([all(units)?, all(taps)?])).transpose()?;
        Ok(DilatedState {
            layer: self.clone(),
            lengths: lengths.clone(),
            levels,
            windows,
            histories: histories.iter().map(|dilation| history(*dilation)).collect::<Result<_, _>>()?,
            gradients,
        })
    }
}

/// A layer with its values for one batch.
#[derive(Debug)]
pub struct DilatedState {
    layer: Dilated,
    lengths: Tensor,
    /// `(T * B * samples, H)`: the input of each block, and the output of the last one.
    levels: Vec<Tensor>,
    /// `(T * B * samples, TAPS * H)`: those of each block, or one tensor for all if there is no backward pass.
    windows: Vec<Tensor>,
    /// `(span * B * samples, H)` for each block, if sentences are written position by position.
    histories: Vec<Tensor>,
    /// With respect to the blocks' outputs, the last one's first, and to the windows.
    gradients: Option<[Tensor; 2]>,
}

impl DilatedState {
    fn of_backward(&self) -> &[Tensor; 2] {
        self.gradients.as_ref().expect("a backward pass is recorded for a network that trains")
    }
}

impl SequenceState for DilatedState {
    fn output(&self) -> &Tensor {
        &self.levels[self.layer.blocks.len()]
    }

    fn doutput(&self) -> &Tensor {
        &self.of_backward()[0]
    }

    fn forward(&self, recording: Recording<'_>, _: &Positions, input: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let DilatedState { layer, lengths, levels, windows, histories, .. } = self;
        let all = recording.over_sequence();
        let mut dispatches = layer.input.forward(all, input, &Epilogue::store(&levels[0]))?;
        for (index, (block, of_block)) in layer.blocks.iter().zip(layer.windows()).enumerate() {
            let (values, operand) = (&levels[index], &windows[index.min(windows.len() - 1)]);
            dispatches.push(match histories.get(index) {
                None => of_block.gather(all.at, lengths, values, operand)?,
                Some(history) => history::remember(all.at, of_block.dilation, values, history, operand)?,
            });
            let onto = Epilogue::plus(&levels[index + 1], values)?;
            dispatches.extend(block.forward(all, operand, &onto)?);
        }
        Ok(dispatches)
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        _: &Positions,
        parameters: &Arena,
        input: &Tensor,
        dinput: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let DilatedState { layer, lengths, levels, windows, .. } = self;
        let [dlevel, dwindows] = self.of_backward();
        let (all, store) = (recording.over_sequence(), Epilogue::store(dwindows));
        let mut dispatches = Vec::new();
        for (index, (block, of_block)) in layer.blocks.iter().zip(layer.windows()).enumerate().rev() {
            dispatches.extend(block.backward(all, parameters, &windows[index], dlevel, Some(&store))?);
            dispatches.push(of_block.spread(all.at, lengths, &levels[index], [dwindows, dlevel])?);
        }
        dispatches.extend(layer.input.backward(all, parameters, input, dlevel, Some(dinput))?);
        Ok(dispatches)
    }

    fn keep(&self, gpu: &Gpu, from: &[usize]) -> Result<(), Error> {
        self.histories.iter().try_for_each(|history| move_rows(gpu, history, from))
    }
}
