//! The checks of `shaders/objective/`, and every objective as the kernels see it that have a slot for one.

use crate::Error;
use crate::gpu::{Part, Tensor};
use crate::objective::penalised::{self, Penalty};
use crate::objective::{self, weighted};
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Output, poisoned};
use crate::selftest::reference::{Matrix, objective as reference};
use crate::selftest::tolerance::{self, DIVISION, ULP};

/// Samples of each example.
const SAMPLES: usize = 3;

/// What fills the slot `objective`, and what it then says of each row.
pub struct Given {
    pub name: &'static str,
    pub part: Part,
    pub doubly: bool,
    /// The weight of each row: of its log probability, and of its KL divergence beside that of its latent.
    row_weights: Vec<f64>,
    /// The weight of each latent's KL divergence.
    latent_weights: Vec<f64>,
    /// Each row's importance weight.
    pub draw_weights: Vec<f64>,
    /// The loss, summed over the batch, from the sums of log_prob and kl, and the magnitude of its terms beside these.
    pub loss: Loss,
}

/// How an objective's loss comes of the sums of log_prob and kl over the batch.
pub enum Loss {
    /// `kl_weight * kl - log_prob`
    Elbo,
    /// A number less log_prob
    Penalised(f64),
    /// A number
    Stored(f64),
}

impl Given {
    /// The weight of a row's log probability in the loss.
    pub fn row_weights(&self) -> &[f64] {
        &self.row_weights
    }

    pub fn kl_weight(&self, row: usize, latent: usize) -> f64 {
        self.row_weights[row] * self.latent_weights[latent]
    }
}

/// All objectives, with tensors of their own that hold weights of all sizes.
pub fn objectives(bench: &mut Bench<'_>, samples: usize) -> Result<[Given; 4], Error> {
    let Sizes { batch, rows, columns: latents, .. } = bench.sizes;
    let vector = |bench: &mut Bench<'_>, length: usize| -> Result<(Tensor, Vec<f64>), Error> {
        let values: Vec<f32> = (0..length).map(|_| bench.draw().abs()).collect();
        let tensor = Tensor::from_values(bench.gpu, 1, length, &values)?;
        Ok((tensor, values.into_iter().map(f64::from).collect()))
    };
    let kl_weight = f64::from(bench.step.kl_weight);
    let alike = vec![1.0 / (rows * samples) as f64; rows * samples];
    let (kl_weights, latent_weights) = vector(bench, latents)?;
    let (penalty, penalty_value) = vector(bench, 1)?;
    let (weights, draw_weights) = vector(bench, batch * samples)?;
    let (loss, losses) = vector(bench, batch)?;
    let loss_sum = losses[..rows].iter().sum();
    let row_weights: Vec<_> = draw_weights.iter().map(|weight| weight / rows as f64).collect();
    let by_weights = |name, doubly| Given {
        name,
        part: weighted::part(doubly, &weights, &loss),
        doubly,
        row_weights: row_weights.clone(),
        latent_weights: vec![kl_weight; latents],
        draw_weights: draw_weights.iter().map(|weight| 1.0 - kl_weight * (1.0 - weight)).collect(),
        loss: Loss::Stored(loss_sum),
    };
    Ok([
        Given {
            name: "elbo",
            part: objective::elbo(),
            doubly: false,
            row_weights: alike.clone(),
            latent_weights: vec![kl_weight; latents],
            draw_weights: Vec::new(),
            loss: Loss::Elbo,
        },
        Given {
            name: "penalised",
            part: penalised::part(&kl_weights, &penalty),
            doubly: false,
            row_weights: alike,
            latent_weights,
            draw_weights: Vec::new(),
            loss: Loss::Penalised(penalty_value[0] * rows as f64),
        },
        by_weights("weighted", false),
        by_weights("doubly", true),
    ])
}

/// A vector of which no word is right yet.
fn vector(bench: &Bench<'_>, length: usize) -> Result<Tensor, Error> {
    poisoned(bench.gpu, Tensor::zeros(bench.gpu, 1, length)?)
}

/// What a vector must hold in its first elements; the others are as they were.
fn output(name: &'static str, tensor: &Tensor, values: Vec<f64>, errors: Vec<f64>) -> Output {
    Output::unpadded(name, tensor, &Matrix::vector(values), &Matrix::vector(errors))
}

pub fn penalty(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    bench.samples = SAMPLES;
    let (kl_weight, capacity) = (f64::from(bench.step.kl_weight), f64::from(bench.step.capacity));
    for penalty in [Penalty::FreeBits(0.25), Penalty::Capacity] {
        // On both sides of the free bits.
        let kl = bench.input(latents, |draw, _| 0.25 + 0.2 * draw)?;
        let (kl_weights, result) = (vector(bench, latents)?, vector(bench, 1)?);
        let step = &bench.step_tensor;
        let dispatch = penalised::penalty(bench.gpu, step, SAMPLES, penalty, &kl.tensor, &kl_weights, &result)?;
        let (value, weights) = match penalty {
            Penalty::FreeBits(free_bits) => reference::free_bits(&kl.values, f64::from(free_bits), kl_weight),
            Penalty::Capacity => reference::capacity(&kl.values, capacity, kl_weight),
        };
        let magnitude = kl_weight * (0.45 * latents as f64 + capacity);
        let error = magnitude * (tolerance::sum(rows * SAMPLES + latents + 8, 1.0) + DIVISION);
        let wanted = Matrix::vector(weights);
        let outputs = [
            Output::matrix("kl_weights", &kl_weights, &wanted, &wanted.map(|_| 0.0)),
            output("penalty", &result, vec![value], vec![error]),
        ];
        bench.check(dispatch, outputs)?;
    }
    Ok(())
}

pub fn log_weights(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, columns, outputs, .. } = bench.sizes;
    bench.samples = SAMPLES;
    let log_prob = bench.input(columns, |draw, _| 100.0 * draw)?;
    let kl = bench.input(outputs, |draw, _| 10.0 + draw)?;
    let result = vector(bench, batch * SAMPLES)?;
    let (step, terms) = (&bench.step_tensor, [&log_prob.tensor, &kl.tensor]);
    let dispatch = weighted::log_weights(bench.gpu, step, SAMPLES, terms[0], terms[1], &result)?;
    let kl_weight = f64::from(bench.step.kl_weight);
    let values = reference::log_weights(&log_prob.values, &kl.values, kl_weight);
    let magnitudes = reference::log_weights(&log_prob.values.abs(), &kl.values.abs(), -kl_weight);
    let errors = magnitudes.iter().map(|magnitude| tolerance::sum(columns.max(outputs) + 4, *magnitude)).collect();
    bench.check(dispatch, [output("log_weights", &result, values, errors)])
}

pub fn weights(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, .. } = bench.sizes;
    bench.samples = 1;
    // About nothing, or far out and far apart, example by example.
    let given = bench.input(SAMPLES, |draw, row| [1.0, 30.0, 1e4][row % 3] * (draw - 1.5))?;
    let mut words: Vec<f32> = given.values.values().iter().map(|value| *value as f32).collect();
    words.resize(batch * SAMPLES, f32::NAN);
    let log_weights = Tensor::from_values(bench.gpu, 1, words.len(), &words)?;
    let (result, loss) = (vector(bench, batch * SAMPLES)?, vector(bench, batch)?);
    let dispatch = weighted::normalise(bench.gpu, &bench.step_tensor, SAMPLES, &log_weights, &result, &loss)?;
    let values = reference::weights(given.values.values(), SAMPLES);
    let bounds = reference::bounds(given.values.values(), SAMPLES);
    // An exponential's argument is a difference from the largest, and is off by its rounding.
    let relative = |row: usize| {
        let own = given.values.row(row);
        let spread = own.iter().map(|w| (w - bounds[row]).abs() + 2.0).fold(0.0, f64::max);
        (0..SAMPLES).map(|k| tolerance::exp(own[k] - bounds[row])).fold(0.0, f64::max) + spread * ULP
    };
    let errors = values
        .iter()
        .enumerate()
        .map(|(i, value)| value * (2.0 * relative(i / SAMPLES) + tolerance::sum(SAMPLES, 1.0) + DIVISION));
    let loss_errors =
        (0..rows).map(|b| relative(b) + tolerance::LOG + tolerance::sum(SAMPLES + 4, bounds[b].abs() + 2.0));
    let outputs = [
        output("weights", &result, values.clone(), errors.collect()),
        output("loss", &loss, bounds.iter().map(|bound| -bound).collect(), loss_errors.collect()),
    ];
    bench.check(dispatch, outputs)
}

pub fn scale(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, columns, .. } = bench.sizes;
    bench.samples = SAMPLES;
    let doutput = bench.in_place(columns, |draw, _| draw)?;
    let weights: Vec<f32> = (0..batch * SAMPLES).map(|_| bench.draw().abs()).collect();
    let tensor = Tensor::from_values(bench.gpu, 1, weights.len(), &weights)?;
    let dispatch = weighted::scale(bench.gpu, &bench.step_tensor, SAMPLES, &tensor, &doutput.tensor)?;
    let values = Matrix::from_fn(doutput.values.rows(), columns, |row, column| {
        SAMPLES as f64 * f64::from(weights[row]) * doutput.values.at(row, column)
    });
    let errors = values.map(|value| 2.0 * ULP * value.abs());
    bench.check(dispatch, [Output::matrix("doutput", &doutput.tensor, &values, &errors)])
}
