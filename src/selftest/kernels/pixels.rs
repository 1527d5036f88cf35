//! The checks of `shaders/likelihood/pixels.wgsl` with all that fills its slot: means, and draws.
//!
//! A draw is a comparison with a random number: where the two are so close that a lawful driver may see them the other way,
//! either result is right.

use super::levels::{CATEGORIES, VARIANCE, predicted_errors, scale_errors, softmax_errors};
use super::likelihood::logvars;
use crate::Error;
use crate::gpu::{Part, Tensor};
use crate::likelihood::{
    self, Pixels, bernoulli, beta_binomial, categorical, discretised_logistic, gaussian, gaussian_predicted,
};
use crate::noise::{self, Stream};
use crate::selftest::bench::{Bench, Operand, Output, UNTOUCHED};
use crate::selftest::reference::activation::sigmoid;
use crate::selftest::reference::likelihood::{categorical as categorical_reference, pairs};
use crate::selftest::reference::{Matrix, noise as reference};
use crate::selftest::tolerance::{self, DIVISION, NOISE, ULP};

const SEED: u64 = 0xfeed_0123_4567;
const DRAW: Pixels = Pixels::Draw { seed: SEED };

/// The random numbers of a pixel.
struct Random {
    key: [u32; 4],
    d: u32,
    row: u32,
    t: u32,
}

impl Random {
    fn words(&self, turn: u32) -> [u32; 4] {
        reference::threefry(self.key, [self.d, self.row, self.t, turn])
    }

    /// From 0 to just below 1, from the upper 24 bits.
    fn uniform(&self, turn: u32, word: usize) -> f64 {
        f64::from(self.words(turn)[word] >> 8) / f64::from(1 << 24)
    }
}

/// What a pixel must be, and its error, from its outputs.
type Want<'a> = &'a dyn Fn(&[f64], &Random) -> (f64, f64);

/// Holds pixels against their reference, one by one; `outputs` belong to each dimension.
fn check(
    bench: &mut Bench<'_>,
    variant: &str,
    (pixels, pixel): (Pixels, &Part),
    outputs: &Operand,
    want: Want<'_>,
) -> Result<(), Error> {
    let dimensions = bench.sizes.columns;
    // It writes word by word: the padding is not its business and stays zero.
    let result = bench.in_place(dimensions, |_, _| UNTOUCHED)?.tensor;
    let step = &bench.step_tensor;
    let dispatch = likelihood::show(bench.gpu, step, 1, (pixels, pixel), &outputs.tensor, &result)?;
    let each = outputs.values.columns() / dimensions;
    let key = noise::key(SEED, Stream::Pixels);
    let of = |r: usize, d: usize| {
        let random = Random { key, d: d as u32, row: bench.step.first + r as u32, t: bench.step.t };
        want(&outputs.values.row(r)[d * each..][..each], &random)
    };
    let rows = outputs.values.rows();
    let [values, errors] =
        [Matrix::from_fn(rows, dimensions, |r, d| of(r, d).0), Matrix::from_fn(rows, dimensions, |r, d| of(r, d).1)];
    bench.check_variant(variant, dispatch, [Output::matrix("pixels", &result, &values, &errors)])
}

/// So many outputs a dimension, in three sizes.
fn outputs(bench: &mut Bench<'_>, each: usize, sizes: [f32; 3]) -> Result<Operand, Error> {
    bench.input(each * bench.sizes.columns, |draw, row| sizes[row % 3] * draw)
}

pub fn bernoulli_draw(bench: &mut Bench<'_>) -> Result<(), Error> {
    let logits = outputs(bench, 1, [6.0, 100.0, 1e4])?;
    check(bench, "", (DRAW, &bernoulli::draw()), &logits, &|logit, random| {
        let (u, prob) = (random.uniform(0, 0), sigmoid(logit[0]));
        let close = (u - prob).abs() <= tolerance::sigmoid_error(logit[0]);
        (f64::from(u8::from(u < prob)), f64::from(u8::from(close)))
    })
}

/// A normal draw with its error, from the log variance with its error.
fn normal(mean: f64, logvar: f64, logvar_error: f64, random: &Random) -> (f64, f64) {
    let [radius, angle, ..] = random.words(0);
    let (std, noise) = ((0.5 * logvar).exp(), reference::box_muller(radius, angle)[0]);
    let relative = tolerance::exp(0.5 * logvar) + 0.5 * logvar_error + 2.0 * ULP;
    (mean + std * noise, std * (NOISE + noise.abs() * relative) + ULP * (mean.abs() + std * noise.abs()))
}

/// With one variance, and with one for each dimension.
pub fn gaussian_draw(bench: &mut Bench<'_>) -> Result<(), Error> {
    let mean = outputs(bench, 1, [1.0, 2.0, 1e4])?;
    let (logvar, values) = logvars(bench)?;
    let one = Tensor::from_values(bench.gpu, 1, 1, &[values[0] as f32])?;
    for (variant, logvar, step) in [("one", one, 0), ("each", logvar, 1)] {
        let part = gaussian::draw(&logvar, bench.sizes.columns);
        check(bench, variant, (DRAW, &part), &mean, &|mean, random| {
            normal(mean[0], values[step * random.d as usize], 0.0, random)
        })?;
    }
    Ok(())
}

pub fn gaussian_predicted(bench: &mut Bench<'_>) -> Result<(), Error> {
    let outputs = outputs(bench, 2, [1.0, 4.0, 30.0])?;
    check(bench, "", (Pixels::Mean, &gaussian_predicted::mean()), &outputs, &|output, _| (output[0], 0.0))?;
    check(bench, "", (DRAW, &gaussian_predicted::draw(VARIANCE)), &outputs, &|output, random| {
        let logvar = pairs::predicted_logvar(output[1], VARIANCE.into());
        normal(output[0], logvar, predicted_errors(output[1]).0, random)
    })
}

pub fn discretised_logistic(bench: &mut Bench<'_>) -> Result<(), Error> {
    let outputs = outputs(bench, 2, [1.0, 4.0, 30.0])?;
    check(bench, "", (Pixels::Mean, &discretised_logistic::mean()), &outputs, &|output, _| {
        let (mean, relative) = (output[0], scale_errors(output[1]).1);
        let inverse = (-pairs::log_scale(output[1])).exp();
        let error = |k: u32| {
            let end = (mean - (f64::from(k) - 0.5) / 255.0) * inverse;
            let end_error = end.abs() * (relative + ULP) + (DIVISION + 2.0 * ULP) * inverse * (mean.abs() + 1.0);
            tolerance::sigmoid_error(end) + sigmoid(end) * sigmoid(-end) * end_error
        };
        let value = pairs::discretised_logistic_mean([output[0], output[1]]);
        (value, (1..256).map(error).sum::<f64>() / 255.0 + tolerance::sum(256, value) + DIVISION * value)
    })?;
    check(bench, "", (DRAW, &discretised_logistic::draw()), &outputs, &|output, random| {
        let u = (f64::from(random.words(0)[0] >> 9) + 0.5) / f64::from(1 << 23);
        let s = pairs::log_scale(output[1]).exp();
        let (below, above) = (u.ln(), (1.0 - u).ln());
        let logit_error = tolerance::log(below) + tolerance::log(above) + ULP * (below - above).abs();
        let x = output[0] + s * (below - above);
        let error = s * (logit_error + (below - above).abs() * (scale_errors(output[1]).1 + ULP));
        let error = error + 2.0 * ULP * (output[0].abs() + x.abs() + 1.0);
        let level = |x: f64| (255.0 * x).round().clamp(0.0, 255.0) / 255.0;
        (level(x), level(x + error) - level(x - error) + DIVISION * level(x))
    })
}

pub fn beta_binomial(bench: &mut Bench<'_>) -> Result<(), Error> {
    let outputs = outputs(bench, 2, [2.0, 6.0, 9.0])?;
    let held = |raw: f64| raw.clamp(-7.0, 7.0);
    check(bench, "", (Pixels::Mean, &beta_binomial::mean()), &outputs, &|raw, _| {
        let difference = held(raw[0]) - held(raw[1]);
        let error = tolerance::sigmoid_error(difference) + sigmoid(difference) * ULP * difference.abs();
        (sigmoid(difference), error)
    })?;
    check(bench, "", (DRAW, &beta_binomial::draw()), &outputs, &|raw, random| {
        let [alpha, beta] = [held(raw[0]).exp(), held(raw[1]).exp()];
        let (mut level, mut allowed) = (0.0, 0.0);
        for ball in 0..255u32 {
            let (white, all) = (alpha + level, alpha + beta + f64::from(ball));
            let u = random.uniform(ball / 4, ball as usize % 4);
            // From here on everything may be different.
            let close = (u * all - white).abs() <= (2.0 * tolerance::exp(7.0) + 6.0 * ULP) * white;
            allowed = if close { 1.0 } else { allowed };
            level += f64::from(u8::from(u * all < white));
        }
        (level / 255.0, allowed + DIVISION * level / 255.0)
    })
}

pub fn categorical(bench: &mut Bench<'_>) -> Result<(), Error> {
    let logits = outputs(bench, CATEGORIES, [3.0, 30.0, 1e4])?;
    let highest = (CATEGORIES - 1) as f64;
    let probs =
        |logits: &[f64]| categorical_reference::probs(&Matrix::vector(logits.to_vec()), CATEGORIES).values().to_vec();
    check(bench, "", (Pixels::Mean, &categorical::mean(CATEGORIES)), &logits, &|logits, _| {
        let value: f64 = probs(logits).iter().enumerate().map(|(c, prob)| prob * c as f64 / highest).sum();
        let (relative, sum) = softmax_errors(logits);
        let shares = probs(logits).iter().zip(&relative).map(|(prob, error)| prob * error).sum::<f64>();
        (value, shares + value * (sum + DIVISION) + tolerance::sum(CATEGORIES + 3, value))
    })?;
    check(bench, "", (DRAW, &categorical::draw(CATEGORIES)), &logits, &|logits, random| {
        let u = random.uniform(0, 0);
        let (probs, error) = (probs(logits), 2.0 * softmax_errors(logits).1 + 4.0 * ULP);
        let category = |u: f64| {
            let mut sum = 0.0;
            let ends = probs[..CATEGORIES - 1].iter().map(|prob| {
                sum += prob;
                sum
            });
            ends.filter(|end| u >= *end).count() as f64 / highest
        };
        (category(u), category(u + error) - category(u - error) + DIVISION * category(u))
    })
}
