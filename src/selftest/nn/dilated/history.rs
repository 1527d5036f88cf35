//! The self-test of `shaders/nn/dilated/history.wgsl`.

use crate::Error;
use crate::nn::TAPS;
use crate::nn::history::{remember, span};
use crate::selftest::bench::{Bench, Output, SAMPLES};
use crate::selftest::{Checks, Matrix};

pub(in crate::selftest::nn) const CHECKS: Checks = &[("nn/dilated/history.wgsl", check)];

/// The windows of a position, and the history after it.
fn check(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns.next_multiple_of(4), bench.sizes.rows * SAMPLES);
    bench.samples = SAMPLES;
    for dilation in [1, 3] {
        bench.over_positions([1, 1])?;
        let values = bench.input(columns, |draw, _| draw)?;
        let windows = bench.output(TAPS * columns)?;
        bench.over_positions([span(dilation); 2])?;
        let history = bench.in_place(columns, |draw, _| draw)?;
        bench.over_positions([1, 1])?;
        let dispatch = remember(bench.at(), dilation, &values.tensor, &history.tensor, &windows)?;
        let newest = |draw: usize, c: usize| values.values.at(draw, c).max(0.0);
        let before = |age: usize, draw: usize, c: usize| match age {
            0 => newest(draw, c),
            age => history.values.at((age - 1) * rows + draw, c),
        };
        let wanted = Matrix::from_fn(rows, TAPS * columns, |draw, c| {
            before((TAPS - 1 - c / columns) * dilation, draw, c % columns)
        });
        let moved = Matrix::from_fn(span(dilation) * rows, columns, |r, c| before(r / rows, r % rows, c));
        let outputs = [
            Output::matrix("windows", &windows, &wanted, &wanted.map(|_| 0.0)),
            Output::matrix("history", &history.tensor, &moved, &moved.map(|_| 0.0)),
        ];
        bench.check_variant(&format!("dilation {dilation}"), dispatch, outputs)?;
    }
    Ok(())
}
