//! The checks of `shaders/optim/`.

use crate::Error;
use crate::gpu::{Arena, Tensor};
use crate::nn::{self, Dense};
use crate::optim::{self, Adam};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::reference::{AdamState, Matrix};
use crate::selftest::tolerance::{DIVISION, SQRT, ULP};
use crate::steps::Step;

/// An arena of a layer's shape, and all of its words, padding included.
struct State {
    arena: Arena,
    words: Vec<f64>,
}

/// Draws the values of an arena.
fn state(bench: &mut Bench<'_>, value: impl Fn(f32) -> f32) -> Result<State, Error> {
    let layer = Dense::new("layer", bench.sizes.columns, bench.sizes.outputs);
    let arena = nn::arena(bench.gpu, &layer.parameters())?;
    for (_, tensor) in arena.tensors() {
        let values: Vec<f32> = (0..tensor.rows() * tensor.columns()).map(|_| value(bench.draw())).collect();
        tensor.write(bench.gpu, &values)?;
    }
    let words: Vec<f32> = arena.whole().read(bench.gpu)?;
    Ok(State { arena, words: words.into_iter().map(f64::from).collect() })
}

pub fn update(bench: &mut Bench<'_>) -> Result<(), Error> {
    let gradients = state(bench, |draw| 0.1 * draw)?;
    let parameters = state(bench, |draw| draw)?;
    let moment1 = state(bench, |draw| 0.1 * draw)?;
    let moment2 = state(bench, |draw| 0.01 * draw * draw)?;
    let adam = Adam::default();
    let dispatch = adam.update(
        bench.gpu,
        &bench.step_tensor,
        &parameters.arena,
        &gradients.arena,
        &moment1.arena,
        &moment2.arena,
    )?;
    let learning_rate = f64::from(bench.step.learning_rate);
    let (mut afters, mut errors) = (Vec::new(), Vec::new());
    for (i, &gradient) in gradients.words.iter().enumerate() {
        let before = AdamState { parameter: parameters.words[i], moment1: moment1.words[i], moment2: moment2.words[i] };
        let after = before.updated(adam, bench.step.t, learning_rate, gradient);
        errors.push(error(adam, bench.step.t, before, after, gradient));
        afters.push(after);
    }
    let output = |name, state: &State, part: fn(&AdamState) -> f64| {
        let [values, errors] = [&afters, &errors].map(|all| Matrix::vector(all.iter().map(part).collect()));
        Output::matrix(name, state.arena.whole(), &values, &errors)
    };
    let outputs = [
        output("parameters", &parameters, |state| state.parameter),
        output("moment1", &moment1, |state| state.moment1),
        output("moment2", &moment2, |state| state.moment2),
    ];
    bench.check(dispatch, outputs)
}

/// The absolute error that each part of the state may have.
fn error(adam: Adam, t: u32, before: AdamState, after: AdamState, gradient: f64) -> AdamState {
    let (complement1, complement2) = (1.0 - adam.beta1, 1.0 - adam.beta2);
    let square = gradient * gradient;
    // A difference, the complement's own rounding, a product and a sum.
    let moment1 = ULP * (3.0 * complement1 * (gradient - before.moment1).abs() + after.moment1.abs());
    let moment2 = ULP * (complement2 * (square + 3.0 * (square - before.moment2).abs()) + after.moment2);
    // The root: its moment's error, the correction's own rounding, a quotient, and the root itself.
    let root = (after.moment2 / (1.0 - adam.beta2.powf(f64::from(t)))).sqrt();
    let share = if after.moment2 > 0.0 { moment2 / after.moment2 } else { 0.0 };
    let root_error = root * (0.5 * (share + ULP + DIVISION) + SQRT);
    let denominator = root + adam.epsilon;
    let denominator_error = root_error + ULP * (adam.epsilon + denominator);
    // The change: the first moment's error, its correction's own rounding, two quotients and a product.
    let change = before.parameter - after.parameter;
    let share = if after.moment1 == 0.0 { 0.0 } else { moment1 / after.moment1.abs() };
    let change_error = change.abs() * (share + 2.0 * ULP + 2.0 * DIVISION + denominator_error / denominator);
    AdamState { parameter: change_error + ULP * after.parameter.abs(), moment1, moment2 }
}

/// The same step with others of its batch before and after it.
fn part_of_a_batch(bench: &Bench<'_>, chunk: u32, chunks_left: u32) -> Result<Tensor, Error> {
    let step = Step { chunk, chunks_left, share: 0.375, ..bench.step };
    let tensor = Step::tensor(bench.gpu)?;
    tensor.write(bench.gpu, bytemuck::cast_slice::<Step, u32>(&[step]))?;
    Ok(tensor)
}

/// From the first step of a batch, and from a later one.
pub fn accumulate(bench: &mut Bench<'_>) -> Result<(), Error> {
    for chunk in [0, 2] {
        let (gradients, total) = (state(bench, |draw| draw)?, state(bench, |draw| 3.0 * draw)?);
        let step = part_of_a_batch(bench, chunk, 1)?;
        let dispatch = optim::accumulate(bench.gpu, &step, &gradients.arena, &total.arena)?;
        let before = |total: f64| if chunk == 0 { 0.0 } else { total };
        let pairs = || gradients.words.iter().zip(&total.words);
        let values = pairs().map(|(gradient, total)| 0.375 * gradient + before(*total)).collect();
        let errors = pairs().map(|(gradient, total)| ULP * (2.0 * gradient.abs() + before(*total).abs())).collect();
        let [values, errors] = [values, errors].map(Matrix::vector);
        let output = Output::matrix("total", total.arena.whole(), &values, &errors);
        bench.check_variant(&format!("chunk {chunk}"), dispatch, [output])?;
    }
    Ok(())
}
