//! A recurrent layer with its values for one batch.

use super::{Recurrent, RecurrentGradients, RecurrentValues};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::sequence::{FirstState, SequencePurpose, SequenceState, move_rows};
use crate::nn::{Epilogue, Positions, Recording};

#[derive(Debug)]
pub(in crate::nn) struct RecurrentState {
    pub layer: Recurrent,
    pub values: RecurrentValues,
    pub gradients: Option<RecurrentGradients>,
}

impl RecurrentState {
    /// Makes the tensors for `rows` draws of sentences with up to `length` positions.
    pub fn new(
        gpu: &Gpu,
        layer: &Recurrent,
        [length, rows]: [usize; 2],
        purpose: SequencePurpose,
    ) -> Result<RecurrentState, Error> {
        let mut layer = layer.clone();
        // The one position of a sentence that is written is not always its first.
        layer.starts_at_zero &= purpose != SequencePurpose::OneByOne;
        let values = layer.values(gpu, length, rows)?;
        let trains = purpose == SequencePurpose::Training;
        let gradients = trains.then(|| layer.gradients(gpu, &values)).transpose()?;
        Ok(RecurrentState { layer, values, gradients })
    }

    fn of_backward(&self) -> &RecurrentGradients {
        self.gradients.as_ref().expect("a backward pass is recorded for a network that trains")
    }
}

impl SequenceState for RecurrentState {
    fn output(&self) -> &Tensor {
        &self.values.output
    }

    fn doutput(&self) -> &Tensor {
        &self.of_backward().doutput
    }

    fn first(&self) -> Option<FirstState<'_>> {
        let RecurrentValues { state, cell, .. } = &self.values;
        let has_cell = cell.rows() > 0;
        let gradients = self.gradients.as_ref().map(|own| (&own.dstate, has_cell.then_some(&own.dcell)));
        Some(FirstState { state, cell: has_cell.then_some(cell), gradients })
    }

    fn forward(&self, recording: Recording<'_>, positions: &Positions, input: &Tensor) -> Result<Vec<Dispatch>, Error> {
        self.layer.forward(recording, positions, input, &self.values)
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        positions: &Positions,
        parameters: &Arena,
        input: &Tensor,
        dinput: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let around = (input, &self.values, self.of_backward());
        self.layer.backward(recording, positions, parameters, around, Some(dinput))
    }

    fn keep(&self, gpu: &Gpu, from: &[usize]) -> Result<(), Error> {
        let RecurrentValues { state, cell, .. } = &self.values;
        move_rows(gpu, state, from)?;
        // An LSTM's cells become those before the next position.
        if let Some(cells) = self.values.cells_after(gpu)? {
            cell.write(gpu, &cells)?;
            move_rows(gpu, cell, from)?;
        }
        Ok(())
    }
}
