//! The self-test of `shaders/likelihood/`: the code that the likelihoods share. Each likelihood has a file of its own,
//! for its pixels too.

pub mod bernoulli;
pub mod beta_binomial;
pub mod categorical;
pub mod discretised_logistic;
pub mod gaussian;
pub mod gaussian_predicted;
mod gradient;
mod pixels;
pub mod tokens;

use clap::ValueEnum;

use super::bench::{Bench, Operand, SAMPLES};
use super::nan::Nan;
use super::nn::epilogue;
use super::tolerance::{self, DIVISION, ULP};
use super::{Checks, Matrix};
use crate::Error;
use crate::gpu::{Arena, Program, Tensor};
use crate::likelihood::{Density, Likelihood, LikelihoodConfig, Terms};
use crate::nn::{self, Epilogue};

pub(super) const CHECKS: &[Checks] = &[
    bernoulli::CHECKS,
    gaussian::CHECKS,
    gaussian_predicted::CHECKS,
    discretised_logistic::CHECKS,
    beta_binomial::CHECKS,
    categorical::CHECKS,
    tokens::CHECKS,
    pixels::CHECKS,
    &[("NaN, likelihood: log_prob", check_nan)],
];

/// The initial value of the variances that the decoder outputs.
const VARIANCE: f32 = 0.2;

/// Categories of a pixel.
const CATEGORIES: usize = 3;

/// A dimension's share of the log probability, and its derivatives with respect to both outputs of the dimension.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// In nats.
    pub log_prob: f64,
    /// With respect to each of the outputs.
    pub slopes: [f64; 2],
}

/// Each dimension's share of the log probability, `(B * K, D)`, and the gradient of the mean of `-log_prob` over the
/// rows with respect to the outputs, `(B * K, 2D)`. The outputs of a dimension are adjacent.
pub fn evaluate(x: &Matrix, output: &Matrix, share: impl Fn(f64, [f64; 2]) -> Share) -> (Matrix, Matrix) {
    let samples = output.rows() / x.rows();
    let of = |r: usize, d: usize| share(x.at(r / samples, d), [output.at(r, 2 * d), output.at(r, 2 * d + 1)]);
    let gradient = |r: usize, c: usize| -of(r, c / 2).slopes[c % 2] / output.rows() as f64;
    (
        Matrix::from_fn(output.rows(), x.columns(), |r, d| of(r, d).log_prob),
        Matrix::from_fn(output.rows(), 2 * x.columns(), gradient),
    )
}

/// Draws grey pixels: many 0 and 1, the others between.
fn grey(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, _| (1.5 * draw).clamp(0.0, 1.0))
}

/// Draws pixels of the given number of levels: many 0 and 1, the others between.
fn levels(bench: &mut Bench<'_>, levels: usize) -> Result<Operand, Error> {
    let highest = (levels - 1) as f32;
    bench.input(bench.sizes.columns, |draw, _| ((1.5 * draw).clamp(0.0, 1.0) * highest).round() / highest)
}

/// Draws the given number of outputs for each dimension, in three sizes, row by row.
fn outputs(bench: &mut Bench<'_>, each: usize, sizes: [f32; 3]) -> Result<Operand, Error> {
    bench.input(each * bench.sizes.columns, |draw, row| sizes[row % 3] * draw)
}

/// A likelihood on the bench, with its parameter.
struct Given {
    density: Box<dyn Density>,
    parameters: Arena,
}

impl Given {
    fn new(bench: &Bench<'_>, density: Box<dyn Density>) -> Result<Given, Error> {
        let parameters = nn::arena(bench.gpu, density.parameter(bench.sizes.columns).as_slice())?;
        Ok(Given { density, parameters })
    }

    /// The columns of the decoder's outputs.
    fn outputs(&self, bench: &Bench<'_>) -> usize {
        bench.sizes.columns * self.density.outputs_per_dimension()
    }

    /// A tensor for the log probability, without any right word yet.
    fn sums(&self, bench: &Bench<'_>) -> Result<Tensor, Error> {
        bench.output(self.density.partial_sums(bench.gpu, bench.sizes.columns)?)
    }

    /// Records the log probability after a product that passes the outputs on unchanged.
    fn log_prob(&self, bench: &Bench<'_>, outputs: &Operand, terms: Terms<'_>) -> Result<Program, Error> {
        let (part, after) = self.density.log_prob(bench.recording(&self.parameters), terms)?;
        let mut program = Program::default();
        program.extend(epilogue::forward(bench, outputs, &part)?);
        program.extend(after);
        Ok(program)
    }

    /// Checks a likelihood with two outputs for each dimension against its reference. The absolute errors of a share depend
    /// on the pixel, its outputs and the share itself.
    fn check_pairs(
        &self,
        bench: &mut Bench<'_>,
        [x, outputs]: [&Operand; 2],
        share: &dyn Fn(f64, [f64; 2]) -> Share,
        errors: &dyn Fn(f64, [f64; 2], Share) -> Share,
    ) -> Result<(), Error> {
        let (shares, gradients) = evaluate(&x.values, &outputs.values, share);
        let (rows, dimensions) = (shares.rows(), shares.columns());
        // The dimensions of a partial sum: a block of an epilogue's outputs, or a quad of those that are stored.
        let block = if self.density.stores_output() { 4 } else { Epilogue::block(bench.gpu)? } / 2;
        let errors_of = |r: usize, d: usize| {
            let x = x.values.at(r / SAMPLES, d);
            let outputs = [outputs.values.at(r, 2 * d), outputs.values.at(r, 2 * d + 1)];
            errors(x, outputs, share(x, outputs))
        };
        let share_errors = Matrix::from_fn(rows, dimensions, |r, d| errors_of(r, d).log_prob);
        let wants = shares.block_sums(block);
        let want_errors = shares
            .abs()
            .block_sums(block)
            .zip(&share_errors.block_sums(block), |magnitude, error| tolerance::sum(2 * block, magnitude) + error);
        let gradient_errors = Matrix::from_fn(rows, 2 * dimensions, |r, c| {
            errors_of(r, c / 2).slopes[c % 2] / rows as f64 + gradients.at(r, c).abs() * (DIVISION + ULP)
        });
        self.check(bench, [x, outputs], [&wants, &want_errors], [&gradients, &gradient_errors])
    }
}

/// A likelihood by its name.
fn given(bench: &Bench<'_>, likelihood: Likelihood) -> Result<Given, Error> {
    let config = LikelihoodConfig { kind: likelihood, variance: VARIANCE, categories: CATEGORIES };
    Given::new(bench, config.density())
}

/// A NaN in an output of the decoder, for every likelihood.
fn check_nan(bench: &mut Bench<'_>) -> Result<(), Error> {
    for likelihood in Likelihood::value_variants() {
        let given = given(bench, *likelihood)?;
        // Values that each of them can describe.
        let x = bench.input(bench.sizes.columns, |draw, _| if draw > 0.0 { 1.0 } else { 0.0 })?;
        let columns = given.outputs(bench);
        let input = &bench.input(columns, |draw, _| 2.0 * draw)?;
        let (doutput, output) = (bench.output(columns)?, &given.sums(bench)?);
        let terms = Terms { x: &x.tensor, output: &doutput, log_prob: output, trains: true };
        let program = given.log_prob(bench, input, terms)?;
        let nan = Nan { input, column: 0, name: "log_prob", output, reaches: &|_| true };
        nan.check(bench, &format!("{likelihood:?}"), program.dispatches().to_vec())?;
    }
    Ok(())
}
