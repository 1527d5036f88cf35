//! The self-test of `shaders/likelihood/tokens.wgsl` and of the file below it.

use super::categorical::softmax_errors;
use crate::Error;
use crate::gpu::Tensor;
use crate::likelihood::tokens;
use crate::selftest::bench::{Bench, Output, SAMPLES, UNTOUCHED, poisoned};
use crate::selftest::tolerance::{self, DIVISION, ULP};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks =
    &[("likelihood/tokens.wgsl", check_evaluate), ("likelihood/tokens/sum.wgsl", check_sum)];

/// Positions of the sentences of a batch, and those that its tensors have room for.
const POSITIONS: [usize; 2] = [2, 3];

/// Where there is no token.
const NOTHING: u32 = u32::MAX;

/// A row's log probability: `logits[k] - log sum_v exp(logits[v])`
pub fn log_prob(logits: &[f64], token: usize) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits[token] - largest - logits.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// The gradient of `-log_prob` with respect to each logit: `softmax(logits) - onehot(k)`
pub fn backward(logits: &[f64], token: usize) -> Vec<f64> {
    let log_sum = logits[token] - log_prob(logits, token);
    let of = |(v, x): (usize, &f64)| (x - log_sum).exp() - f64::from(u8::from(v == token));
    logits.iter().enumerate().map(of).collect()
}

fn check_evaluate(bench: &mut Bench<'_>) -> Result<(), Error> {
    // More quads than a row has threads, the last of them not whole; and fewer.
    for vocabulary in [4 * bench.sizes.columns + 17, 3] {
        for trains in [true, false] {
            check_vocabulary(bench, vocabulary, trains)?;
        }
    }
    Ok(())
}

fn check_vocabulary(bench: &mut Bench<'_>, vocabulary: usize, trains: bool) -> Result<(), Error> {
    let [length, most] = POSITIONS;
    let (rows, batch) = (bench.sizes.rows, bench.sizes.batch);
    bench.samples = SAMPLES;
    bench.over_positions(POSITIONS)?;
    let scales = [3.0, 30.0, 300.0];
    let output = bench.in_place(vocabulary, move |draw, row| scales[row % 3] * draw)?;
    let token = |place: usize| if place % 5 == 4 { NOTHING } else { (place * 7 % vocabulary) as u32 };
    let numbers: Vec<u32> = (0..most * batch).map(token).collect();
    let given = Tensor::from_values(bench.gpu, 1, numbers.len(), &numbers)?;
    let log_probs = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 1, most * batch * SAMPLES)?)?;
    let dispatch = tokens::evaluate(bench.at(), &given, &output.tensor, &log_probs, trains)?;
    let (live, share) = (length * rows * SAMPLES, 1.0 / (rows * SAMPLES) as f64);
    let of_row = |row: usize| (output.values.row(row), numbers[row / SAMPLES]);
    // A thread's sum, and then a tree of 64, are scaled once for each step: about 100 units.
    let errors_of = |logits: &[f64]| {
        let (relative, sum) = softmax_errors(logits);
        (relative, sum + 100.0 * ULP)
    };
    let mut values = vec![[0.0; 2]; live];
    for (row, value) in values.iter_mut().enumerate() {
        let (logits, token) = of_row(row);
        if token != NOTHING {
            let exact = log_prob(logits, token as usize);
            *value = [exact, 3.0 * ULP * (exact.abs() + 2.0) + errors_of(logits).1 + tolerance::log(vocabulary as f64)];
        }
    }
    let padded = |index: usize, rest: f64| {
        let of = |row: usize| values.get(row).map_or(rest, |value| value[index]);
        Matrix::vector((0..log_probs.columns()).map(of).collect())
    };
    // Each logit's expected value and its error.
    let gradient = |row: usize| -> Vec<[f64; 2]> {
        let (logits, token) = of_row(row);
        match (trains, token) {
            (false, _) => logits.iter().map(|logit| [*logit, 0.0]).collect(),
            (true, NOTHING) => vec![[0.0; 2]; vocabulary],
            (true, token) => {
                let (relative, sum) = errors_of(logits);
                let with_error = |(v, exact): (usize, f64)| {
                    let prob = exact + f64::from(u8::from(v == token as usize));
                    let error = prob * (relative[v] + sum + DIVISION) + ULP + exact.abs() * (DIVISION + ULP);
                    [share * exact, share * error]
                };
                backward(logits, token as usize).into_iter().enumerate().map(with_error).collect()
            }
        }
    };
    let gradients: Vec<_> = (0..live).map(gradient).collect();
    let matrix = |index: usize| Matrix::from_fn(live, vocabulary, |r, v| gradients[r][v][index]);
    bench.check_variant(
        &format!("{vocabulary} words, trains: {trains}"),
        dispatch,
        [
            Output::unpadded("log_probs", &log_probs, &padded(0, f64::from(UNTOUCHED)), &padded(1, 0.0)),
            Output::matrix("output", &output.tensor, &matrix(0), &matrix(1)),
        ],
    )
}

/// `log_prob[draw] = sum_p log_probs[(p, draw)]`
fn check_sum(bench: &mut Bench<'_>) -> Result<(), Error> {
    let [length, most] = POSITIONS;
    bench.samples = SAMPLES;
    let log_prob = bench.output(1)?;
    bench.over_positions(POSITIONS)?;
    let (draws, room) = (bench.sizes.rows * SAMPLES, bench.sizes.batch * SAMPLES);
    let values: Vec<f32> =
        (0..most * room).map(|row| if row < length * draws { 9.0 * bench.draw() } else { f32::NAN }).collect();
    let log_probs = Tensor::from_values(bench.gpu, 1, values.len(), &values)?;
    let dispatch = tokens::sum(bench.at(), &log_probs, &log_prob)?;
    let sum = |draw: usize, of: fn(f64) -> f64| -> f64 {
        (0..length).map(|p| of(f64::from(values[p * draws + draw]))).sum::<f64>()
    };
    let wanted = Matrix::from_fn(draws, 1, |draw, _| sum(draw, |value| value));
    let errors = Matrix::from_fn(draws, 1, |draw, _| tolerance::sum(length, sum(draw, f64::abs)));
    bench.check(dispatch, [Output::matrix("log_prob", &log_prob, &wanted, &errors)])
}
