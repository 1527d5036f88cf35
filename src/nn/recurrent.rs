//! Recurrent layers over sentences: a state that passes from one position to the next. The twin of the files in
//! `shaders/nn/recurrent/`.
//!
//! The products of the inputs are one product for all positions. A position has a product of the state, and a kernel for the gates.
//! Rows are those of a sequence: (position, example, sample).

pub(crate) mod gru;
mod last;
pub(crate) mod lstm;
mod state;

pub use last::{spread, take};
pub(super) use state::RecurrentState;

use super::{Dense, Init, Layer, ParameterSpec};
use crate::Error;
use crate::gpu::{Gpu, Tensor};

/// The kind of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A gated recurrent unit.
    Gru,
    /// A long short-term memory.
    Lstm,
}

impl Cell {
    /// Values of a product for each unit.
    pub fn gates(self) -> usize {
        match self {
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }
}

/// The number of each position, for the kernels of one position.
#[derive(Clone, Debug)]
pub struct Positions(Vec<Tensor>);

impl Positions {
    /// Those of sentences with up to `length` positions.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(gpu: &Gpu, length: usize) -> Result<Positions, Error> {
        (0..length as u32).map(|p| Tensor::from_values(gpu, 1, 1, &[p])).collect::<Result<_, _>>().map(Positions)
    }

    /// How many there are, T.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none; a sentence has at least its end.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A recurrent layer; its parameters are in an arena under the names of two dense layers, `name.input` and `name.state`.
#[derive(Clone, Debug)]
pub struct Recurrent {
    cell: Cell,
    units: usize,
    /// Whether the state before the first position is 0. Otherwise the caller sets it.
    starts_at_zero: bool,
    input: Dense,
    state: Dense,
}

/// The values of a layer for one batch.
#[derive(Debug)]
pub struct RecurrentValues {
    /// `(T * B * samples, gates * H)`: the products of the inputs, then the gates, then the gradients of the products.
    pub(crate) gates: Tensor,
    /// `(B * samples, gates * H)`: the product of the state.
    pub(crate) product: Tensor,
    /// `(B * samples, H)`: the state; before the first position, the first state.
    pub state: Tensor,
    /// `(B * samples, H)`: an LSTM's first cell, in the first rows of `memory`.
    pub cell: Tensor,
    pub(crate) zero: Tensor,
    /// `(T * B * samples, H)`: the states before each position.
    pub(crate) previous: Tensor,
    /// `(T * B * samples, H)`: the states after each position.
    pub output: Tensor,
    /// What else the backward pass needs: a GRU's products of the state, `(T * B * samples, 3 H)`, of which the forward pass keeps the
    /// last run; an LSTM's cells, `((T + 1) * B * samples, H)`.
    pub(crate) memory: Tensor,
}

/// The tensors of a backward pass, apart from the values.
#[derive(Debug)]
pub struct RecurrentGradients {
    /// `(T * B * samples, H)`: the gradient with respect to the output, which the caller writes.
    pub doutput: Tensor,
    /// `(B * samples, H)`: after the backward pass, the gradient with respect to the first state.
    pub dstate: Tensor,
    /// The same with respect to an LSTM's first cell.
    pub dcell: Tensor,
    pub(crate) dproduct: Tensor,
}

impl RecurrentValues {
    /// An LSTM's cells after the first position, `(B * samples, H)`, if all rows are live.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn cells_after(&self, gpu: &Gpu) -> Result<Option<Vec<f32>>, Error> {
        let all = (self.cell.rows() > 0).then(|| self.memory.read::<f32>(gpu)).transpose()?;
        let size = self.cell.rows() * self.cell.columns();
        Ok(all.map(|all| all[size..2 * size].to_vec()))
    }
}

impl Recurrent {
    /// Describes a layer.
    pub fn new(name: &str, cell: Cell, [inputs, units]: [usize; 2], starts_at_zero: bool) -> Recurrent {
        let dense = |part: &str, inputs| Dense::new(format!("{name}.{part}"), inputs, cell.gates() * units);
        Recurrent { cell, units, starts_at_zero, input: dense("input", inputs), state: dense("state", units) }
    }

    /// As [`SequenceLayer::in_pytorch`](super::SequenceLayer::in_pytorch).
    pub(super) fn in_pytorch(&self, start: Option<&Dense>) -> String {
        let function = match self.cell {
            Cell::Gru => "gru",
            Cell::Lstm => "lstm",
        };
        let start = start.map_or(String::new(), |start| format!(", layer(\"{}\")(z)", start.name()));
        format!("{function}(h, layer(\"{}\"), layer(\"{}\"){start})", self.input.name(), self.state.name())
    }

    /// `input.weight` `(gates * H, inputs)`, `state.weight` `(gates * H, H)` and a bias for each, all uniform within `1 / sqrt(H)`, as
    /// `torch.nn.GRU` and `torch.nn.LSTM` start them, and in their order of gates.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let init = Init::Uniform { bound: 1.0 / (self.units as f32).sqrt() };
        let specs = self.input.parameters().into_iter().chain(self.state.parameters());
        specs.map(|spec| ParameterSpec { init, ..spec }).collect()
    }

    /// The columns of its tensors.
    pub fn widths(&self) -> [usize; 2] {
        [self.units, self.cell.gates() * self.units]
    }

    /// Floating-point operations of the forward pass for one position.
    pub fn flops(&self) -> f64 {
        self.input.flops() + self.state.flops()
    }

    /// Makes the tensors for `rows` draws of sentences with up to `length` positions.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn values(&self, gpu: &Gpu, length: usize, rows: usize) -> Result<RecurrentValues, Error> {
        let (units, gates) = (self.units, self.cell.gates() * self.units);
        let zeros = |rows, columns| Tensor::zeros(gpu, rows, columns);
        let memory = match self.cell {
            Cell::Gru => zeros(length * rows, gates)?,
            Cell::Lstm => zeros((length + 1) * rows, units)?,
        };
        Ok(RecurrentValues {
            gates: zeros(length * rows, gates)?,
            product: zeros(rows, gates)?,
            state: zeros(rows, units)?,
            cell: if self.cell == Cell::Lstm { memory.first_rows(rows) } else { zeros(0, units)? },
            zero: zeros(rows, units)?,
            previous: zeros(length * rows, units)?,
            output: zeros(length * rows, units)?,
            memory,
        })
    }

    /// Makes the tensors for a backward pass through the values.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn gradients(&self, gpu: &Gpu, values: &RecurrentValues) -> Result<RecurrentGradients, Error> {
        let like = |tensor: &Tensor| Tensor::zeros(gpu, tensor.rows(), tensor.columns());
        Ok(RecurrentGradients {
            doutput: like(&values.output)?,
            dstate: like(&values.state)?,
            dcell: like(&values.state)?,
            dproduct: like(&values.product)?,
        })
    }
}
