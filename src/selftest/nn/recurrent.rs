//! The self-test of `shaders/nn/recurrent/`: the tensors of one position in the middle of sentences.

pub mod gru;
pub(super) mod last;
pub mod lstm;

use crate::Error;
use crate::gpu::Tensor;
use crate::nn::{RecurrentGradients, RecurrentValues};
use crate::selftest::Matrix;
use crate::selftest::bench::{Bench, Operand, SAMPLES};

/// Positions of the sentences of a batch, and those that its tensors have room for.
const POSITIONS: [usize; 2] = [3, 4];

/// A layer at a position: tensors of all positions and of one.
pub(super) struct Here {
    /// The position.
    pub p: usize,
    pub position: Tensor,
    /// Rows of a position.
    pub rows: usize,
    pub units: usize,
}

/// The tensors of a layer that a kernel reads or writes.
pub(super) struct Tensors {
    pub gates: Operand,
    pub product: Operand,
    pub state: Operand,
    pub previous: Operand,
    pub output: Operand,
    pub memory: Operand,
}

impl Here {
    /// Position `p`, with units that fill whole quads.
    pub fn new(bench: &mut Bench<'_>, p: usize) -> Result<Here, Error> {
        bench.samples = SAMPLES;
        let position = Tensor::from_values(bench.gpu, 1, 1, &[p as u32])?;
        let (rows, units) = (bench.sizes.rows * SAMPLES, bench.sizes.columns.next_multiple_of(4));
        Ok(Here { p, position, rows, units })
    }

    /// The tensors of a layer with the given numbers of gates, whose gates are products, up to 3, or values of gates.
    pub fn tensors(&self, bench: &mut Bench<'_>, gates: usize, scale: f32) -> Result<Tensors, Error> {
        let units = self.units;
        bench.over_positions([1, 1])?;
        let product = bench.in_place(gates * units, |draw, _| 3.0 * draw)?;
        let state = bench.in_place(units, |draw, _| draw)?;
        bench.over_positions(POSITIONS)?;
        let sequence = |bench: &mut Bench<'_>, columns| bench.in_place(columns, |draw, _| draw);
        let (previous, output) = (sequence(bench, units)?, sequence(bench, units)?);
        let gates_of_all = bench.in_place(gates * units, |draw, _| scale * draw)?;
        let memory = if gates == 3 {
            sequence(bench, gates * units)?
        } else {
            let [length, most] = POSITIONS;
            bench.over_positions([length + 1, most + 1])?;
            let cells = sequence(bench, units)?;
            bench.over_positions(POSITIONS)?;
            cells
        };
        Ok(Tensors { gates: gates_of_all, product, state, previous, output, memory })
    }

    /// A matrix with the rows of this position replaced.
    pub fn replaced(&self, all: &Matrix, value: impl Fn(usize, usize) -> f64) -> Matrix {
        self.replaced_at(self.p, all, value)
    }

    /// The same for another position.
    pub fn replaced_at(&self, p: usize, all: &Matrix, value: impl Fn(usize, usize) -> f64) -> Matrix {
        let first = p * self.rows;
        Matrix::from_fn(all.rows(), all.columns(), |r, c| {
            if (first..first + self.rows).contains(&r) { value(r - first, c) } else { all.at(r, c) }
        })
    }

    /// The row of a draw at this position.
    pub fn at(&self, draw: usize) -> usize {
        self.p * self.rows + draw
    }
}

impl Tensors {
    pub fn values(&self, bench: &Bench<'_>) -> Result<RecurrentValues, Error> {
        let rows = self.state.tensor.rows();
        let [gates, product, state, previous, output, memory] =
            [&self.gates, &self.product, &self.state, &self.previous, &self.output, &self.memory]
                .map(|operand| operand.tensor.clone());
        let zero = Tensor::zeros(bench.gpu, rows, state.columns())?;
        Ok(RecurrentValues { gates, product, cell: memory.first_rows(rows), state, zero, previous, output, memory })
    }
}

/// The tensors of a backward pass: `doutput` over all positions, `dstate` and `dcell` of one.
pub(super) struct Backward {
    pub doutput: Operand,
    pub dstate: Operand,
    pub dcell: Operand,
    pub gradients: RecurrentGradients,
}

impl Backward {
    pub fn new(bench: &mut Bench<'_>, here: &Here, gates: usize) -> Result<Backward, Error> {
        bench.over_positions([1, 1])?;
        let mut one = || bench.in_place(here.units, |draw, _| draw);
        let (dstate, dcell) = (one()?, one()?);
        let dproduct = bench.output(gates * here.units)?;
        bench.over_positions(POSITIONS)?;
        let doutput = bench.input(here.units, |draw, _| draw)?;
        let [of_output, of_state, of_cell] = [&doutput, &dstate, &dcell].map(|operand| operand.tensor.clone());
        let gradients = RecurrentGradients { doutput: of_output, dstate: of_state, dcell: of_cell, dproduct };
        Ok(Backward { doutput, dstate, dcell, gradients })
    }

    /// The gradient with respect to the state after the position, and whether other positions follow it.
    pub fn d(&self, here: &Here, draw: usize, unit: usize) -> f64 {
        let follows = f64::from(u8::from(here.p + 1 < POSITIONS[0]));
        self.doutput.values.at(here.at(draw), unit) + follows * self.dstate.values.at(draw, unit)
    }

    /// That with respect to the cell, apart from what comes through the state.
    pub fn e(&self, here: &Here, draw: usize, unit: usize) -> f64 {
        let follows = f64::from(u8::from(here.p + 1 < POSITIONS[0]));
        follows * self.dcell.values.at(draw, unit)
    }
}
