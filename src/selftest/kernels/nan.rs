//! NaN in, NaN out: a broken model's NaN reaches the loss and the pixels, whatever the driver does with comparisons, `min` and
//! `max`, `exp` and `tanh`, and reaches nothing else.
//!
//! Each kernel runs twice, the second time with a NaN in the last row. What does not depend on it has the same bits again.

use clap::ValueEnum;

use super::Check;
use super::dense::forward_epilogue;
use super::latents::RANGE;
use super::levels::{CATEGORIES, VARIANCE};
use crate::Error;
use crate::gpu::{Dispatch, Program, Tensor};
use crate::likelihood::{Likelihood, LikelihoodConfig, LikelihoodState, Pixels};
use crate::nn::{self, Activation};
use crate::posterior::normal::Draws;
use crate::prior::{KlEstimate, standard_normal};
use crate::selftest::bench::{Bench, Operand, Output};

/// What is checked, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("activations", activations),
    ("draws from the posterior", draws),
    ("likelihoods", likelihoods),
    ("pixels", pixels),
];

/// Runs dispatches without and with a NaN at a column of the input's last row; `reaches` says which columns of that row of the
/// output are NaN then.
fn check(
    bench: &mut Bench<'_>,
    variant: &str,
    dispatches: Vec<Dispatch>,
    (input, column): (&Operand, usize),
    (name, output): (&'static str, &Tensor),
    reaches: impl Fn(usize) -> bool,
) -> Result<(), Error> {
    let last = input.values.rows() - 1;
    let mut program = Program::default();
    program.extend(dispatches);
    bench.gpu.run(&program, 1);
    let mut wants: Vec<f32> = output.read_padded(bench.gpu)?;
    for want in (0..output.columns()).filter(|column| reaches(*column)) {
        wants[last * output.stride() + want] = f32::NAN;
    }
    let mut words: Vec<f32> = input.tensor.read_padded(bench.gpu)?;
    words[last * input.tensor.stride() + column] = f32::NAN;
    input.tensor.write_padded(bench.gpu, &words)?;
    bench.check_program(variant, &program, [Output::exactly(name, output, &wants)])
}

fn activations(bench: &mut Bench<'_>) -> Result<(), Error> {
    let columns = bench.sizes.columns;
    for activation in Activation::value_variants() {
        let each = activation.inputs();
        // The product before an epilogue spreads a NaN over its whole row: zero times NaN is NaN.
        let value = bench.input(each * columns, |draw, _| 6.0 * draw)?;
        let (output, slope) = (bench.output(columns)?, bench.output(each * columns)?);
        let dispatch = forward_epilogue(bench, &value, &activation.forward(bench.gpu, &output, &slope)?)?;
        let variant = format!("NaN, {activation:?}");
        check(bench, &variant, vec![dispatch], (&value, columns / 2), ("output", &output), |_| true)?;
    }
    Ok(())
}

/// In a mean and in a log variance, clamped and not.
fn draws(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    for (logvar_range, estimate) in [(None, KlEstimate::ClosedForm), (Some(RANGE), KlEstimate::Sampled)] {
        for column in [latents / 2, latents + latents / 2] {
            let posterior = bench.input(2 * latents, |draw, _| 4.0 * draw)?;
            let (z, kl) = (bench.output(latents)?, bench.output(latents)?);
            let (gpu, step) = (bench.gpu, &bench.step_tensor);
            let (prior, posterior_tensor) = (standard_normal::kl(estimate), &posterior.tensor);
            let draws =
                Draws { gpu, step, samples: 1, logvar_range, prior: &prior, posterior: posterior_tensor, z: &z };
            let dispatch = draws.draw(&kl)?;
            let variant = format!("NaN, {estimate:?}, {}", if column < latents { "mean" } else { "logvar" });
            let reaches = |l| l == latents / 2;
            check(bench, &variant, vec![dispatch], (&posterior, column), ("kl", &kl), reaches)?;
        }
    }
    Ok(())
}

/// A likelihood, with what it needs beside the decoder.
fn state(bench: &Bench<'_>, likelihood: Likelihood) -> Result<LikelihoodState, Error> {
    let config = LikelihoodConfig { likelihood, variance: VARIANCE, categories: CATEGORIES };
    let dimensions = bench.sizes.columns;
    let parameters = nn::arena(bench.gpu, config.parameters(dimensions).as_slice())?;
    LikelihoodState::new(bench.gpu, &config, &parameters, dimensions)
}

fn likelihoods(bench: &mut Bench<'_>) -> Result<(), Error> {
    for likelihood in Likelihood::value_variants() {
        let state = state(bench, *likelihood)?;
        // Values that each of them can describe.
        let x = bench.input(bench.sizes.columns, |draw, _| if draw > 0.0 { 1.0 } else { 0.0 })?;
        let outputs = bench.input(state.outputs(), |draw, _| 2.0 * draw)?;
        let doutput = bench.output(state.outputs())?;
        let log_prob = state.log_prob_tensor(bench.gpu, x.tensor.rows())?;
        let (epilogue, after) = state.log_prob(bench.gpu, &bench.step_tensor, 1, &x.tensor, &doutput, &log_prob)?;
        let mut dispatches = vec![forward_epilogue(bench, &outputs, &epilogue)?];
        dispatches.extend(after);
        let variant = format!("NaN, {likelihood:?}");
        check(bench, &variant, dispatches, (&outputs, 0), ("log_prob", &log_prob), |_| true)?;
    }
    Ok(())
}

fn pixels(bench: &mut Bench<'_>) -> Result<(), Error> {
    for likelihood in Likelihood::value_variants() {
        for pixels in [Pixels::Mean, Pixels::Draw { seed: 1 }] {
            let state = state(bench, *likelihood)?;
            let outputs = bench.input(state.outputs(), |draw, _| 2.0 * draw)?;
            let between = bench.output(state.outputs())?;
            let result = bench.output(bench.sizes.columns)?;
            let (epilogue, after) = state.pixels(bench.gpu, &bench.step_tensor, 1, pixels, &between, &result)?;
            let mut dispatches = vec![forward_epilogue(bench, &outputs, &epilogue)?];
            dispatches.extend(after);
            let variant = format!("NaN, {likelihood:?}, {}", if pixels == Pixels::Mean { "mean" } else { "draw" });
            check(bench, &variant, dispatches, (&outputs, 0), ("pixels", &result), |_| true)?;
        }
    }
    Ok(())
}
