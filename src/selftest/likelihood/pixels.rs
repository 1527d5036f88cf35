//! The self-test of `shaders/likelihood/pixels.wgsl`: compares each likelihood's means and draws with their references.
//!
//! A draw is a comparison with a random number: if the two are so close that a conformant driver may order them either
//! way, both results are right.

use clap::ValueEnum;

use super::{Given, given};
use crate::Error;
use crate::likelihood::{self, Likelihood, Pixels};
use crate::noise::{self, Stream};
use crate::selftest::bench::{Bench, Operand, Output, UNTOUCHED};
use crate::selftest::nan::Nan;
use crate::selftest::nn::epilogue;
use crate::selftest::noise::{box_muller, threefry};
use crate::selftest::tolerance::{self, NOISE, ULP};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks = &[("NaN, likelihood: pixels", check_nan)];

const SEED: u64 = 0xfeed_0123_4567;

/// The random numbers of a pixel.
pub(super) struct Random {
    key: [u32; 4],
    pub d: u32,
    row: u32,
    t: u32,
}

impl Random {
    /// The four words of the given turn.
    pub fn words(&self, turn: u32) -> [u32; 4] {
        threefry(self.key, [self.d, self.row, self.t, turn])
    }

    /// From 0 to just below 1, from the upper 24 bits.
    pub fn uniform(&self, turn: u32, word: usize) -> f64 {
        f64::from(self.words(turn)[word] >> 8) / f64::from(1 << 24)
    }
}

/// The value of a pixel and its error, from its outputs and random numbers.
type Want<'a> = &'a dyn Fn(&[f64], &Random) -> (f64, f64);

/// Checks the means of a likelihood against their reference, pixel by pixel.
pub(super) fn check_mean(bench: &mut Bench<'_>, given: &Given, outputs: &Operand, want: Want<'_>) -> Result<(), Error> {
    check(bench, given, Pixels::Mean, outputs, want)
}

/// Checks the draws from a likelihood against their reference, pixel by pixel.
pub(super) fn check_draw(bench: &mut Bench<'_>, given: &Given, outputs: &Operand, want: Want<'_>) -> Result<(), Error> {
    check(bench, given, Pixels::Draw { seed: SEED }, outputs, want)
}

fn check(bench: &mut Bench<'_>, given: &Given, pixels: Pixels, outputs: &Operand, want: Want<'_>) -> Result<(), Error> {
    let dimensions = bench.sizes.columns;
    // The kernel writes word by word: it does not touch the padding, which stays zero.
    let result = bench.in_place(dimensions, |_, _| UNTOUCHED)?.tensor;
    let recording = bench.recording(&given.parameters);
    let dispatch = likelihood::show(&*given.density, recording, pixels, &outputs.tensor, &result)?;
    let each = outputs.values.columns() / dimensions;
    let key = noise::key(SEED, Stream::Pixels);
    let of = |r: usize, d: usize| {
        let random = Random { key, d: d as u32, row: bench.step.first + r as u32, t: bench.step.t };
        want(&outputs.values.row(r)[d * each..][..each], &random)
    };
    let rows = outputs.values.rows();
    let [values, errors] =
        [Matrix::from_fn(rows, dimensions, |r, d| of(r, d).0), Matrix::from_fn(rows, dimensions, |r, d| of(r, d).1)];
    bench.check(dispatch, [Output::matrix("pixels", &result, &values, &errors)])
}

/// A normal draw with its error, from the log variance with its error.
pub(super) fn normal(mean: f64, logvar: f64, logvar_error: f64, random: &Random) -> (f64, f64) {
    let [radius, angle, ..] = random.words(0);
    let (std, noise) = ((0.5 * logvar).exp(), box_muller(radius, angle)[0]);
    let relative = tolerance::exp(0.5 * logvar) + 0.5 * logvar_error + 2.0 * ULP;
    (mean + std * noise, std * (NOISE + noise.abs() * relative) + ULP * (mean.abs() + std * noise.abs()))
}

/// A NaN in an output of the decoder, for every likelihood.
fn check_nan(bench: &mut Bench<'_>) -> Result<(), Error> {
    for likelihood in Likelihood::value_variants() {
        for pixels in [Pixels::Mean, Pixels::Draw { seed: 1 }] {
            let given = given(bench, *likelihood)?;
            let columns = given.outputs(bench);
            let input = &bench.input(columns, |draw, _| 2.0 * draw)?;
            let output = &bench.output(bench.sizes.columns)?;
            let mean = given.density.mean(output).filter(|_| pixels == Pixels::Mean);
            let fused = mean.is_some();
            let dispatches = match mean {
                Some(mean) => epilogue::forward(bench, input, &mean)?,
                None => {
                    let recording = bench.recording(&given.parameters);
                    vec![likelihood::show(&*given.density, recording, pixels, &input.tensor, output)?]
                }
            };
            // A product spreads NaN over its whole row.
            let reaches = &|column: usize| fused || column == 0;
            let variant = format!("{likelihood:?}, {}", if pixels == Pixels::Mean { "mean" } else { "draw" });
            let nan = Nan { input, column: 0, name: "pixels", output, reaches };
            nan.check(bench, &variant, dispatches)?;
        }
    }
    Ok(())
}
