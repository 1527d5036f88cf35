//! The bench that a kernel is put on: inputs that are not trivial, outputs that are poisoned, and the comparison.
//!
//! Rows past the end of a short batch hold NaN where they are read, so that a kernel that looks at them is found out, and
//! [`UNTOUCHED`] where they are written, which must be there still. So does every element that must be written, and all
//! padding that a kernel writes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::compare::{Want, worst};
use super::reference::Matrix;
use super::{Outcome, Sizes, Tamper};
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Program, Tensor};
use crate::noise::{self, Stream};
use crate::optim::Adam;
use crate::steps::Step;

/// What outputs hold before a kernel runs, and must hold afterwards wherever it has no business.
pub const UNTOUCHED: f32 = 1e30;

/// A tensor and what it holds, without padding and without the rows past the end of the batch.
pub struct Operand {
    pub tensor: Tensor,
    pub values: Matrix,
}

/// A tensor and what it must hold.
pub struct Output {
    name: &'static str,
    tensor: Tensor,
    wants: Vec<Want>,
    /// Whether its words are `u32`, not `f32`.
    integers: bool,
}

impl Output {
    /// A matrix whose first rows are written, their padding with zeros, each value within its error.
    pub fn matrix(name: &'static str, tensor: &Tensor, values: &Matrix, errors: &Matrix) -> Output {
        Output::rows_from(name, tensor, 0, values, errors)
    }

    /// The same where the rows from `first` on are written.
    pub fn rows_from(name: &'static str, tensor: &Tensor, first: usize, values: &Matrix, errors: &Matrix) -> Output {
        Output::new(name, tensor, first, values, errors, Want::exactly(0.0))
    }

    /// A matrix whose first rows are written word by word, and their padding is not.
    pub fn unpadded(name: &'static str, tensor: &Tensor, values: &Matrix, errors: &Matrix) -> Output {
        Output::new(name, tensor, 0, values, errors, Want::exactly(f64::from(UNTOUCHED)))
    }

    /// Words that allow of no error.
    pub fn words(name: &'static str, tensor: &Tensor, words: &[u32]) -> Output {
        let wants = words.iter().map(|word| Want::exactly(f64::from(*word))).collect();
        Output { name, tensor: tensor.clone(), wants, integers: true }
    }

    /// Every word, padding included, to the bit; NaN stands for any NaN.
    pub fn exactly(name: &'static str, tensor: &Tensor, words: &[f32]) -> Output {
        let wants = words.iter().map(|word| Want::exactly(f64::from(*word))).collect();
        Output { name, tensor: tensor.clone(), wants, integers: false }
    }

    fn new(
        name: &'static str,
        tensor: &Tensor,
        first: usize,
        values: &Matrix,
        errors: &Matrix,
        rest_of_row: Want,
    ) -> Output {
        let stride = tensor.stride();
        let mut wants = vec![Want::exactly(f64::from(UNTOUCHED)); tensor.padded_len()];
        for (row, wants) in wants.chunks_exact_mut(stride).skip(first).take(values.rows()).enumerate() {
            wants.fill(rest_of_row);
            for (want, (value, error)) in wants.iter_mut().zip(values.row(row).iter().zip(errors.row(row))) {
                *want = Want::near(*value, *error);
            }
        }
        Output { name, tensor: tensor.clone(), wants, integers: false }
    }

    fn read(&self, gpu: &Gpu) -> Result<Vec<f64>, Error> {
        Ok(match self.integers {
            true => self.tensor.read_padded::<u32>(gpu)?.into_iter().map(f64::from).collect(),
            false => self.tensor.read_padded::<f32>(gpu)?.into_iter().map(f64::from).collect(),
        })
    }
}

/// One kernel at certain sizes.
pub struct Bench<'a> {
    pub gpu: &'a Gpu,
    pub sizes: Sizes,
    /// What the kernel reads of the table of steps.
    pub step: Step,
    pub step_tensor: Tensor,
    /// Rows that each example has: of what is made from here on.
    pub samples: usize,
    rng: ChaCha8Rng,
    tamper: Tamper<'a>,
    on_outcome: &'a mut dyn FnMut(&Outcome),
    passed: bool,
}

impl<'a> Bench<'a> {
    pub fn new(
        gpu: &'a Gpu,
        sizes: Sizes,
        tamper: Tamper<'a>,
        on_outcome: &'a mut dyn FnMut(&Outcome),
    ) -> Result<Bench<'a>, Error> {
        let t = 7;
        let (correction1, correction2) = Adam::default().corrections(t);
        let step = Step {
            row: 1,
            t,
            first: sizes.first as u32,
            rows: sizes.rows as u32,
            learning_rate: 1e-3,
            kl_weight: 0.37,
            correction1,
            correction2,
            key: noise::key(0x0123_4567_89ab_cdef, Stream::Training),
            sample: 5,
            capacity: 3.3,
            ..Step::default()
        };
        let step_tensor = Step::tensor(gpu)?;
        step_tensor.write(gpu, bytemuck::cast_slice::<Step, u32>(&[step]))?;
        let rng = ChaCha8Rng::seed_from_u64(0);
        Ok(Bench { gpu, sizes, step, step_tensor, samples: 1, rng, tamper, on_outcome, passed: true })
    }

    /// Whether every outcome so far was right.
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// A draw from -1 to 1, one in 16 of them exactly 0.
    pub fn draw(&mut self) -> f32 {
        let word = self.rng.next_u32();
        if word.is_multiple_of(16) { 0.0 } else { (word >> 8) as f32 * 2f32.powi(-23) - 1.0 }
    }

    /// An input `(B * samples, columns)` that is a function of a draw and the row.
    pub fn input(&mut self, columns: usize, value: impl Fn(f32, usize) -> f32) -> Result<Operand, Error> {
        self.batch(columns, f32::NAN, value)
    }

    /// An input that the kernel changes in place; the same otherwise.
    pub fn in_place(&mut self, columns: usize, value: impl Fn(f32, usize) -> f32) -> Result<Operand, Error> {
        self.batch(columns, UNTOUCHED, value)
    }

    fn batch(&mut self, columns: usize, past: f32, value: impl Fn(f32, usize) -> f32) -> Result<Operand, Error> {
        let Sizes { batch, rows, .. } = self.sizes;
        let (batch, rows) = (batch * self.samples, rows * self.samples);
        let tensor = Tensor::zeros(self.gpu, batch, columns)?;
        let stride = tensor.stride();
        let mut words = vec![past; tensor.padded_len()];
        words[..rows * stride].fill(0.0);
        let values = Matrix::from_fn(rows, columns, |row, column| {
            let value = value(self.draw(), row);
            words[row * stride + column] = value;
            f64::from(value)
        });
        tensor.write_padded(self.gpu, &words)?;
        Ok(Operand { tensor, values })
    }

    /// An output `(B * samples, columns)`, of which no word is right yet.
    pub fn output(&self, columns: usize) -> Result<Tensor, Error> {
        poisoned(self.gpu, Tensor::zeros(self.gpu, self.sizes.batch * self.samples, columns)?)
    }

    /// Runs a kernel and reports on each of its outputs.
    pub fn check<const N: usize>(&mut self, dispatch: Dispatch, outputs: [Output; N]) -> Result<(), Error> {
        self.check_variant("", dispatch, outputs)
    }

    /// The same for one variant of a kernel.
    pub fn check_variant<const N: usize>(
        &mut self,
        variant: &str,
        dispatch: Dispatch,
        outputs: [Output; N],
    ) -> Result<(), Error> {
        let mut program = Program::default();
        program.push(dispatch);
        self.check_program(variant, &program, outputs)
    }

    /// The same for the last of several dispatches.
    pub fn check_program<const N: usize>(
        &mut self,
        variant: &str,
        program: &Program,
        outputs: [Output; N],
    ) -> Result<(), Error> {
        let kernel = program.dispatches().last().map(|dispatch| dispatch.label().to_owned()).unwrap_or_default();
        self.gpu.run(program, 1);
        for output in outputs {
            let mut found = output.read(self.gpu)?;
            (self.tamper)(&mut found);
            let worst = worst(&output.wants, &found, found.len() / output.tensor.rows());
            self.passed &= worst.passed();
            let variant = if variant.is_empty() { String::new() } else { format!("{variant}, ") };
            let case = format!("{variant}{}", self.sizes);
            (self.on_outcome)(&Outcome { kernel: kernel.clone(), output: output.name, case, worst });
        }
        Ok(())
    }
}

/// Fills a tensor, padding included, with what no kernel computes.
pub fn poisoned(gpu: &Gpu, tensor: Tensor) -> Result<Tensor, Error> {
    tensor.write_padded(gpu, &vec![UNTOUCHED; tensor.padded_len()])?;
    Ok(tensor)
}
