//! The self-test of `shaders/nn/dropout.wgsl`.

use crate::Error;
use crate::nn::Dropout;
use crate::noise::{self, Stream};
use crate::selftest::bench::{Bench, Output, SAMPLES};
use crate::selftest::noise::uniform;
use crate::selftest::tolerance::{DIVISION, ULP};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks = &[("nn/dropout.wgsl", check)];

/// Positions of the sentences of a batch, and those that its tensors have room for.
const POSITIONS: [usize; 2] = [3, 4];

/// Columns that may be dropped; others stay as they are.
const COLUMNS: usize = 20;

fn check(bench: &mut Bench<'_>) -> Result<(), Error> {
    let rows = bench.sizes.rows;
    bench.samples = SAMPLES;
    bench.over_positions(POSITIONS)?;
    let values = bench.in_place(COLUMNS + 5, |draw, _| 1.5 + draw)?;
    let dropout = Dropout { probability: 0.3, layer: 2 };
    let dispatch = dropout.record(bench.at(), &values.tensor, COLUMNS)?;
    let mut key = noise::key(u64::from(bench.step.key[1]) << 32 | u64::from(bench.step.key[0]), Stream::Dropout);
    key[3] = dropout.layer;
    let wanted = Matrix::from_fn(values.values.rows(), COLUMNS + 5, |row, c| {
        let (sample, example, p) = (row % SAMPLES, row / SAMPLES % rows, row / (SAMPLES * rows));
        let position = bench.step.first + example as u32;
        let counter = [c as u32 / 4, position, bench.step.t, (p * SAMPLES + sample) as u32];
        match values.values.at(row, c) {
            value if c >= COLUMNS => value,
            _ if uniform(key, counter, c % 4) < f64::from(dropout.probability) => 0.0,
            value => value / (1.0 - f64::from(dropout.probability)),
        }
    });
    let errors = wanted.map(|value| (DIVISION + 2.0 * ULP) * value.abs());
    bench.check(dispatch.into_iter().collect::<Vec<_>>(), [Output::matrix("values", &values.tensor, &wanted, &errors)])
}
