//! The self-test of `shaders/nn/dilated/mean.wgsl`.

use super::POSITIONS;
use crate::Error;
use crate::nn::{average, share_out};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::nn::recurrent::last::lengths;
use crate::selftest::tolerance::{self, DIVISION};
use crate::selftest::{Checks, Matrix};

pub(in crate::selftest::nn) const CHECKS: Checks =
    &[("nn/dilated/mean.wgsl:average", check_average), ("nn/dilated/mean.wgsl:share_out", check_share_out)];

/// `mean[b, c] = sum of values[(p, b), c] over p < lengths[b] / lengths[b]`
fn check_average(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns.next_multiple_of(4), bench.sizes.rows);
    let (tensor, lengths) = lengths(bench, POSITIONS)?;
    let mean = bench.output(columns)?;
    bench.over_positions(POSITIONS)?;
    let values = bench.input(columns, |draw, _| draw)?;
    let dispatch = average(bench.at(), &tensor, &values.tensor, &mean)?;
    let of = |b: usize, c: usize, of: fn(f64) -> f64| {
        let all = (0..lengths[b] as usize).map(|p| of(values.values.at(p * rows + b, c)));
        all.sum::<f64>() / f64::from(lengths[b])
    };
    let wanted = Matrix::from_fn(rows, columns, |b, c| of(b, c, |value| value));
    let error = |b, c| tolerance::sum(POSITIONS[0], of(b, c, f64::abs)) + DIVISION * of(b, c, |value| value).abs();
    let errors = Matrix::from_fn(rows, columns, error);
    bench.check(dispatch, [Output::matrix("mean", &mean, &wanted, &errors)])
}

/// `dvalues[(p, b), c] = dmean[b, c] / lengths[b]`, zero past the sentence
fn check_share_out(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns.next_multiple_of(4), bench.sizes.rows);
    let (tensor, lengths) = lengths(bench, POSITIONS)?;
    let dmean = bench.input(columns, |draw, _| draw)?;
    bench.over_positions(POSITIONS)?;
    let dvalues = bench.output(columns)?;
    let dispatch = share_out(bench.at(), &tensor, &dmean.tensor, &dvalues)?;
    let wanted = Matrix::from_fn(POSITIONS[0] * rows, columns, |r, c| {
        let length = lengths[r % rows];
        if r / rows < length as usize { dmean.values.at(r % rows, c) / f64::from(length) } else { 0.0 }
    });
    let errors = wanted.map(|value| DIVISION * value.abs());
    bench.check(dispatch, [Output::matrix("dvalues", &dvalues, &wanted, &errors)])
}
