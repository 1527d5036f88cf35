//! The self-test of `shaders/nn/sum.wgsl`, and of the epilogue that adds a shortcut.

use super::epilogue;
use crate::Error;
use crate::nn::{self, Epilogue};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::{Checks, tolerance};

pub(super) const CHECKS: Checks = &[
    ("nn/sum", check),
    ("nn/sum:pass_on", check_pass_on),
    ("nn/epilogue/plus", check_plus),
    ("nn/epilogue/onto", check_onto),
];

/// `result[row, c] = values[row, c] + others[row, c]`
fn check(bench: &mut Bench<'_>) -> Result<(), Error> {
    let columns = bench.sizes.columns;
    let (values, others) = (bench.input(columns, |draw, _| draw)?, bench.input(columns, |draw, _| 3.0 * draw)?);
    let result = bench.output(columns)?;
    let parameters = nn::arena(bench.gpu, &[])?;
    let store = Epilogue::store(&result);
    let dispatch = nn::sum(bench.recording(&parameters), &values.tensor, Some(&others.tensor), &store)?;
    let wanted = values.values.zip(&others.values, |value, other| value + other);
    let errors = wanted.map(|value| tolerance::ULP * value.abs());
    bench.check(dispatch, [Output::matrix("result", &result, &wanted, &errors)])
}

/// The values as they are.
fn check_pass_on(bench: &mut Bench<'_>) -> Result<(), Error> {
    let columns = bench.sizes.columns;
    let (values, result) = (bench.input(columns, |draw, _| draw)?, bench.output(columns)?);
    let parameters = nn::arena(bench.gpu, &[])?;
    let dispatch = nn::sum(bench.recording(&parameters), &values.tensor, None, &Epilogue::store(&result))?;
    bench.check(dispatch, [Output::matrix("result", &result, &values.values, &values.values.map(|_| 0.0))])
}

/// `result[row, c] += value[c]`
fn check_onto(bench: &mut Bench<'_>) -> Result<(), Error> {
    let columns = bench.sizes.columns;
    let (value, stored) = (bench.input(columns, |draw, _| draw)?, bench.in_place(columns, |draw, _| 3.0 * draw)?);
    let dispatches = epilogue::forward(bench, &value, &Epilogue::onto(&stored.tensor))?;
    let wanted = value.values.zip(&stored.values, |value, stored| value + stored);
    let errors = wanted.map(|value| tolerance::ULP * value.abs());
    bench.check(dispatches, [Output::matrix("result", &stored.tensor, &wanted, &errors)])
}

/// `result[row, c] = value[c] + shortcut[row, c]`
fn check_plus(bench: &mut Bench<'_>) -> Result<(), Error> {
    let columns = bench.sizes.columns;
    let (value, shortcut) = (bench.input(columns, |draw, _| draw)?, bench.input(columns, |draw, _| 3.0 * draw)?);
    let result = bench.output(columns)?;
    let dispatches = epilogue::forward(bench, &value, &Epilogue::plus(&result, &shortcut.tensor)?)?;
    let wanted = value.values.zip(&shortcut.values, |value, shortcut| value + shortcut);
    let errors = wanted.map(|value| tolerance::ULP * value.abs());
    bench.check(dispatches, [Output::matrix("result", &result, &wanted, &errors)])
}
