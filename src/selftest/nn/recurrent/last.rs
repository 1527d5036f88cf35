//! The self-test of `shaders/nn/recurrent/last.wgsl`.

use super::POSITIONS;
use crate::Error;
use crate::gpu::Tensor;
use crate::nn::{spread, take};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::{Checks, Matrix};

pub(in crate::selftest::nn) const CHECKS: Checks =
    &[("nn/recurrent/last.wgsl:take", check_take), ("nn/recurrent/last.wgsl:spread", check_spread)];

/// The positions of each sentence, from one to all.
fn lengths(bench: &Bench<'_>) -> Result<(Tensor, Vec<u32>), Error> {
    let lengths: Vec<u32> = (0..bench.sizes.batch).map(|b| 1 + (b % POSITIONS[0]) as u32).collect();
    Ok((Tensor::from_values(bench.gpu, 1, lengths.len(), &lengths)?, lengths))
}

/// `last[b, h] = output[(lengths[b] - 1, b), h]`
fn check_take(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns, bench.sizes.rows);
    let (tensor, lengths) = lengths(bench)?;
    let last = bench.output(columns)?;
    bench.over_positions(POSITIONS)?;
    let output = bench.input(columns, |draw, _| draw)?;
    let dispatch = take(bench.at(), &tensor, &output.tensor, &last)?;
    let wanted = Matrix::from_fn(rows, columns, |b, h| output.values.at((lengths[b] as usize - 1) * rows + b, h));
    bench.check(dispatch, [Output::matrix("last", &last, &wanted, &wanted.map(|_| 0.0))])
}

/// `doutput[(p, b), h] = dlast[b, h]` if p is the last position, else 0
fn check_spread(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns, bench.sizes.rows);
    let (tensor, lengths) = lengths(bench)?;
    let dlast = bench.input(columns, |draw, _| draw)?;
    bench.over_positions(POSITIONS)?;
    let doutput = bench.output(columns)?;
    let dispatch = spread(bench.at(), &tensor, &dlast.tensor, &doutput)?;
    let wanted = Matrix::from_fn(POSITIONS[0] * rows, columns, |r, h| {
        if r / rows + 1 == lengths[r % rows] as usize { dlast.values.at(r % rows, h) } else { 0.0 }
    });
    bench.check(dispatch, [Output::matrix("doutput", &doutput, &wanted, &wanted.map(|_| 0.0))])
}
