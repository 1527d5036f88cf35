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
pub(in crate::selftest::nn) fn lengths(
    bench: &Bench<'_>,
    [length, _]: [usize; 2],
) -> Result<(Tensor, Vec<u32>), Error> {
    let lengths: Vec<u32> = (0..bench.sizes.batch).map(|b| 1 + (b % length) as u32).collect();
    Ok((Tensor::from_values(bench.gpu, 1, lengths.len(), &lengths)?, lengths))
}

/// `last[b, first + h] = output[(lengths[b] - 1, b), h]`, the rest unchanged
fn check_take(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns.next_multiple_of(4), bench.sizes.rows);
    let (tensor, lengths) = lengths(bench, POSITIONS)?;
    let last = bench.in_place(2 * columns, |draw, _| draw)?;
    bench.over_positions(POSITIONS)?;
    let output = bench.input(columns, |draw, _| draw)?;
    let mut wanted = last.values.clone();
    for part in [1, 0] {
        let dispatch = take(bench.at(), &tensor, &output.tensor, &last.tensor, part)?;
        wanted = Matrix::from_fn(rows, 2 * columns, |b, c| match c / columns {
            own if own == part => output.values.at((lengths[b] as usize - 1) * rows + b, c % columns),
            _ => wanted.at(b, c),
        });
        let outputs = [Output::matrix("last", &last.tensor, &wanted, &wanted.map(|_| 0.0))];
        bench.check_variant(&format!("part {part}"), dispatch, outputs)?;
    }
    Ok(())
}

/// `doutput[(p, b), h] = dlast[b, first + h]` if p is the last position, else 0
fn check_spread(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns.next_multiple_of(4), bench.sizes.rows);
    let (tensor, lengths) = lengths(bench, POSITIONS)?;
    let dlast = bench.input(2 * columns, |draw, _| draw)?;
    bench.over_positions(POSITIONS)?;
    for part in [0, 1] {
        let doutput = bench.output(columns)?;
        let dispatch = spread(bench.at(), &tensor, &dlast.tensor, &doutput, part)?;
        let wanted = Matrix::from_fn(POSITIONS[0] * rows, columns, |r, h| {
            let is_last = r / rows + 1 == lengths[r % rows] as usize;
            if is_last { dlast.values.at(r % rows, part * columns + h) } else { 0.0 }
        });
        let outputs = [Output::matrix("doutput", &doutput, &wanted, &wanted.map(|_| 0.0))];
        bench.check_variant(&format!("part {part}"), dispatch, outputs)?;
    }
    Ok(())
}
