//! The test bench of a kernel: inputs that are not trivial, poisoned outputs, and the comparison.
//!
//! In the rows past the end of a short batch, inputs have NaN, so that a kernel that reads these rows is found out.
//! Outputs have [`UNTOUCHED`] there, and must still have it afterwards. Every element that must be written, and all
//! padding that a kernel writes, starts as [`UNTOUCHED`] too.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::compare::{Want, worst};
use super::{Matrix, Outcome, Sizes, Tamper, noise};
use crate::Error;
use crate::gpu::{Arena, Gpu, Program, Tensor};
use crate::nn::{Mode, Recording};
use crate::noise::{Stream, key};
use crate::optim::{Adam, UpdateRule};
use crate::step::{At, Step};

/// The value of outputs before a kernel runs. The words that the kernel must not write keep it.
pub const UNTOUCHED: f32 = 1e30;

/// Samples of each example, where a check has several.
pub const SAMPLES: usize = 3;

/// A tensor and its values, without padding and without the rows past the end of the batch.
pub struct Operand {
    pub tensor: Tensor,
    pub values: Matrix,
}

/// A tensor and its expected values.
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

    /// Words that must be exact.
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
    /// The row of the table of steps that the kernel reads.
    pub step: Step,
    pub step_tensor: Tensor,
    /// Rows per example of the tensors made from now on.
    pub samples: usize,
    /// Positions of the step's sentences, and those that the tensors made from now on have room for.
    positions: [usize; 2],
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
        let step = Step {
            row: 1,
            t,
            first: sizes.first as u32,
            examples: sizes.rows as u32,
            key: key(0x0123_4567_89ab_cdef, Stream::Training),
            optimiser: [Adam::default().constants(1e-3, t), Adam::default().constants(2e-3, t - 3)],
            objective: [0.37, 3.3, 0.0, 0.0],
            first_sample: 5,
            ..Step::default()
        };
        let step_tensor = step.upload(gpu)?;
        let rng = ChaCha8Rng::seed_from_u64(0);
        Ok(Bench {
            gpu,
            sizes,
            step,
            step_tensor,
            samples: 1,
            positions: [1; 2],
            rng,
            tamper,
            on_outcome,
            passed: true,
        })
    }

    /// Makes the rows of tensors made from now on those of sentences of the first number of positions, with room for the second; one
    /// position is none.
    pub fn over_positions(&mut self, positions: [usize; 2]) -> Result<(), Error> {
        self.positions = positions;
        self.step.length = positions[0] as u32;
        self.step.write_to(self.gpu, &self.step_tensor)
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
        let [length, most] = self.positions;
        let (batch, rows) = (batch * self.samples * most, rows * self.samples * length);
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

    /// An output `(B * samples, columns)`, without any right word yet.
    pub fn output(&self, columns: usize) -> Result<Tensor, Error> {
        poisoned(self.gpu, Tensor::zeros(self.gpu, self.sizes.batch * self.samples * self.positions[1], columns)?)
    }

    /// The context in which kernels are recorded.
    pub fn at(&self) -> At<'_> {
        At { sequence: self.positions[1] > 1, ..At::new(self.gpu, &self.step_tensor, self.samples) }
    }

    /// The context in which layers are recorded, in training.
    pub fn recording<'b>(&'b self, parameters: &'b Arena) -> Recording<'b> {
        Recording::new(self.at(), parameters, Mode::Training)
    }

    /// The KL weight of the step.
    pub fn kl_weight(&self) -> f64 {
        f64::from(self.step.objective[0])
    }

    /// The noise of the step, `(rows * samples, L)`, for the given number of samples of each example from sample `first` on.
    pub fn noise(&self, first: u32, samples: usize) -> Matrix {
        let Sizes { rows, columns: latents, .. } = self.sizes;
        let Step { key, t, first: position, .. } = self.step;
        noise::noise(key, t, position, first..first + samples as u32, rows * samples, latents)
    }

    /// Runs dispatches and reports on each output of the last one.
    pub fn check(
        &mut self,
        program: impl Into<Program>,
        outputs: impl IntoIterator<Item = Output>,
    ) -> Result<(), Error> {
        self.check_variant("", program, outputs)
    }

    /// The same for one variant of a kernel.
    pub fn check_variant(
        &mut self,
        variant: &str,
        program: impl Into<Program>,
        outputs: impl IntoIterator<Item = Output>,
    ) -> Result<(), Error> {
        let program = program.into();
        let kernel = program.dispatches().last().map(|dispatch| dispatch.label().to_owned()).unwrap_or_default();
        self.gpu.run(&program, 1);
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

/// Fills a tensor, padding included, with a value that no kernel computes.
pub fn poisoned(gpu: &Gpu, tensor: Tensor) -> Result<Tensor, Error> {
    tensor.write_padded(gpu, &vec![UNTOUCHED; tensor.padded_len()])?;
    Ok(tensor)
}
