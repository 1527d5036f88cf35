//! A recurrent layer with its values for one batch.

use super::{Cell, Recurrent, RecurrentGradients, RecurrentValues, gru, lstm};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::sequence::{FirstState, SequencePurpose, SequenceState, move_rows};
use crate::nn::{Epilogue, Layer, Positions, Recording};

#[derive(Debug)]
pub(in crate::nn) struct RecurrentState {
    layer: Recurrent,
    values: RecurrentValues,
    gradients: Option<RecurrentGradients>,
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
        let (Recurrent { cell, starts_at_zero, input: of_input, state: of_state, .. }, values) =
            (&self.layer, &self.values);
        let mut dispatches = of_input.forward(recording.over_sequence(), input, &Epilogue::store(&values.gates))?;
        for (p, position) in positions.0.iter().enumerate() {
            let state = if p == 0 && *starts_at_zero { &values.zero } else { &values.state };
            let mut here = of_state.forward(recording, state, &Epilogue::store(&values.product))?;
            here.push(match cell {
                Cell::Gru => gru::advance(recording.at, position, values, *starts_at_zero)?,
                Cell::Lstm => lstm::advance(recording.at, position, values, *starts_at_zero)?,
            });
            dispatches.extend(here.into_iter().map(|dispatch| dispatch.at_position(p)));
        }
        Ok(dispatches)
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        positions: &Positions,
        parameters: &Arena,
        input: &Tensor,
        dinput: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let (Recurrent { cell, starts_at_zero, input: of_input, state: of_state, .. }, values) =
            (&self.layer, &self.values);
        let gradients = self.of_backward();
        let mut dispatches = Vec::new();
        for (p, position) in positions.0.iter().enumerate().rev() {
            let mut here = vec![match cell {
                Cell::Gru => gru::go_back(recording.at, position, values, gradients)?,
                Cell::Lstm => lstm::go_back(recording.at, position, values, gradients)?,
            }];
            // Nobody needs the gradient with respect to a state that is always 0.
            if p > 0 || !starts_at_zero {
                let through = match cell {
                    Cell::Gru => Epilogue::onto(&gradients.dstate),
                    Cell::Lstm => Epilogue::store(&gradients.dstate),
                };
                here.extend(of_state.input_gradient(recording, &gradients.dproduct, &through)?);
            }
            dispatches.extend(here.into_iter().map(|dispatch| dispatch.at_position(p)));
        }
        let all = recording.over_sequence();
        let dproducts = if *cell == Cell::Gru { &values.memory } else { &values.gates };
        dispatches.extend(of_state.backward(all, parameters, &values.previous, dproducts, None)?);
        dispatches.extend(of_input.backward(all, parameters, input, &values.gates, Some(dinput))?);
        Ok(dispatches)
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
