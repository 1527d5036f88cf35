//! The self-test of `shaders/nn/dilated.wgsl`.

pub(super) mod history;
pub(super) mod mean;

use super::recurrent::last::lengths;
use crate::Error;
use crate::nn::{TAPS, Windows};
use crate::selftest::bench::{Bench, Output, SAMPLES};
use crate::selftest::{Checks, Matrix, tolerance};

pub(super) const CHECKS: Checks = &[("nn/dilated.wgsl:gather", check_gather), ("nn/dilated.wgsl:spread", check_spread)];

/// Positions of the sentences of a batch, and those that its tensors have room for.
pub(super) const POSITIONS: [usize; 2] = [3, 4];

/// Causal, on both sides, and so wide that only one position is in the sentence.
const ALL: [Windows; 4] = [
    Windows { dilation: 1, before: 2 },
    Windows { dilation: 1, before: 1 },
    Windows { dilation: 2, before: 2 },
    Windows { dilation: 4, before: 8 },
];

/// The position that a tap of the window at `p` sees.
fn seen(windows: Windows, p: usize, tap: usize) -> Option<usize> {
    (p + tap * windows.dilation).checked_sub(windows.before)
}

/// `windows[(p, draw), tap * C + c] = relu(values[(p + tap * dilation - before, draw), c])`, 0 outside the sentence
fn check_gather(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns.next_multiple_of(4), bench.sizes.rows * SAMPLES);
    let (tensor, lengths) = lengths(bench, POSITIONS)?;
    bench.samples = SAMPLES;
    bench.over_positions(POSITIONS)?;
    let values = bench.input(columns, |draw, _| draw)?;
    for windows in ALL {
        let result = bench.output(TAPS * columns)?;
        let dispatch = windows.gather(bench.at(), &tensor, &values.tensor, &result)?;
        let wanted = Matrix::from_fn(POSITIONS[0] * rows, TAPS * columns, |r, c| {
            let length = lengths[r % rows / SAMPLES] as usize;
            let place = seen(windows, r / rows, c / columns).filter(|p| *p < length);
            place.map_or(0.0, |p| values.values.at(p * rows + r % rows, c % columns).max(0.0))
        });
        let outputs = [Output::matrix("windows", &result, &wanted, &wanted.map(|_| 0.0))];
        bench.check_variant(&format!("{windows:?}"), dispatch, outputs)?;
    }
    Ok(())
}

/// `dvalues[(p, draw), c] += relu'(values) * sum of dwindows[(p', draw), tap * C + c]` over the windows that have the value
fn check_spread(bench: &mut Bench<'_>) -> Result<(), Error> {
    let (columns, rows) = (bench.sizes.columns.next_multiple_of(4), bench.sizes.rows * SAMPLES);
    let (tensor, lengths) = lengths(bench, POSITIONS)?;
    bench.samples = SAMPLES;
    bench.over_positions(POSITIONS)?;
    let values = bench.input(columns, |draw, _| draw)?;
    let dwindows = bench.input(TAPS * columns, |draw, _| draw)?;
    for windows in ALL {
        let dvalues = bench.in_place(columns, |draw, _| draw)?;
        let given = [&dwindows.tensor, &dvalues.tensor];
        let dispatch = windows.spread(bench.at(), &tensor, &values.tensor, given)?;
        let sum = |r: usize, c: usize, of: fn(f64) -> f64| -> f64 {
            let (p, draw) = (r / rows, r % rows);
            let mut sum = of(dvalues.values.at(r, c));
            if p < lengths[draw / SAMPLES] as usize && values.values.at(r, c) > 0.0 {
                for (from, tap) in (0..POSITIONS[0]).flat_map(|from| (0..TAPS).map(move |tap| (from, tap))) {
                    if seen(windows, from, tap) == Some(p) {
                        sum += of(dwindows.values.at(from * rows + draw, tap * columns + c));
                    }
                }
            }
            sum
        };
        let wanted = Matrix::from_fn(POSITIONS[0] * rows, columns, |r, c| sum(r, c, |value| value));
        let error = |r, c| tolerance::sum(TAPS + 1, sum(r, c, f64::abs));
        let errors = Matrix::from_fn(POSITIONS[0] * rows, columns, error);
        let outputs = [Output::matrix("dvalues", &dvalues.tensor, &wanted, &errors)];
        bench.check_variant(&format!("{windows:?}"), dispatch, outputs)?;
    }
    Ok(())
}
