//! The self-test of `shaders/gpu/peak.wgsl` and of the files below it, which measure the peaks.

use crate::Error;
use crate::gpu::{Tensor, peak};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::{Checks, Matrix, Sizes, tolerance};

pub(super) const CHECKS: Checks =
    &[("gpu/peak.wgsl:multiply_add", check_multiply_add), ("gpu/peak/copy.wgsl:copy", check_copy)];

/// Eight chains of multiply-adds: each multiply-add halves the distance to 1.
fn check_multiply_add(bench: &mut Bench<'_>) -> Result<(), Error> {
    let rounds = 2;
    let result = bench.output(4)?;
    let dispatch = peak::multiply_adds(bench.gpu, rounds, &result)?;
    let values = Matrix::from_fn(bench.sizes.batch, 4, |_, _| 8.0 * (1.0 - 0.5f64.powi(4 * rounds as i32)));
    let errors = values.map(|value| tolerance::sum(8 * rounds as usize, value));
    bench.check(dispatch, [Output::matrix("result", &result, &values, &errors)])
}

/// Every word must be copied.
fn check_copy(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, columns, .. } = bench.sizes;
    let draws: Vec<f32> = (0..batch * columns).map(|_| bench.draw()).collect();
    let from = Tensor::from_values(bench.gpu, batch, columns, &draws)?;
    let to = bench.output(columns)?;
    let values = Matrix::from_fn(batch, columns, |row, column| f64::from(draws[row * columns + column]));
    let errors = values.map(|_| 0.0);
    bench.check(peak::copy(bench.gpu, &from, &to)?, [Output::matrix("copied", &to, &values, &errors)])
}
