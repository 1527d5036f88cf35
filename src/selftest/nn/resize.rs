//! The self-test of `shaders/nn/resize.wgsl`: grids of odd sizes, by a factor of 2 and of 3.

use crate::Error;
use crate::nn::{self, Epilogue, Extent, Layer, Resize};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::{Checks, Matrix, tolerance};

pub(super) const CHECKS: Checks =
    &[("nn/resize:pool", |bench| check(bench, true)), ("nn/resize:enlarge", |bench| check(bench, false))];

/// Whether a position of the large grid belongs to a cell of the small one.
fn is_of(at: usize, cell: usize, cells: usize, factor: usize, tail: bool) -> bool {
    at / factor == cell || tail && cell == cells - 1 && at / factor > cell
}

/// A matrix of which position of the large grid belongs to which cell.
fn belongs(large: Extent, small: Extent, factor: usize, tail: bool) -> Matrix {
    let ([_, width], [height, small_width]) = (large.positions, small.positions);
    Matrix::from_fn(small.rows(), large.rows(), |cell, at| {
        let y = is_of(at / width, cell / small_width, height, factor, tail);
        f64::from(y && is_of(at % width, cell % small_width, small_width, factor, tail))
    })
}

/// `result[b, to, c] = scale * sum_from map[to, from] * values[b, from, c]`
fn through(map: &Matrix, values: &Matrix, scale: f64) -> Matrix {
    let examples = values.rows() / map.columns();
    Matrix::from_fn(examples * map.rows(), values.columns(), |row, c| {
        let (b, to) = (row / map.rows(), row % map.rows());
        let products = map.row(to).iter().enumerate();
        scale * products.map(|(from, is)| is * values.at(b * map.columns() + from, c)).sum::<f64>()
    })
}

fn check(bench: &mut Bench<'_>, pools: bool) -> Result<(), Error> {
    for (positions, factor) in [([5, 4], 2), ([7, 9], 3)] {
        let large = Extent { positions, channels: 8, packed: false };
        let layer = match pools {
            true => Resize::pool(large, factor),
            false => Resize::enlarge(Extent { positions: positions.map(|n| n / factor), ..large }, large, factor),
        };
        let scale = if pools { 1.0 / (factor * factor) as f64 } else { 1.0 };
        let (small, forward) = match pools {
            true => (layer.output(), belongs(large, layer.output(), factor, false)),
            false => (layer.input(), belongs(large, layer.input(), factor, true).transpose()),
        };
        assert_eq!(small.rows().min(large.rows()), small.rows());
        bench.samples = layer.input().rows();
        let (input, dinput) = (bench.input(8, |draw, _| draw)?, bench.output(8)?);
        bench.samples = layer.output().rows();
        let (doutput, output) = (bench.input(8, |draw, _| draw)?, bench.output(8)?);
        bench.samples = 1;
        let parameters = nn::arena(bench.gpu, &[])?;
        let terms = (factor + 2) * (factor + 2);
        let wanted = |name, tensor, map: &Matrix, values: &Matrix| {
            let errors = through(map, &values.abs(), scale).map(|magnitude| tolerance::sum(terms, magnitude));
            Output::matrix(name, tensor, &through(map, values, scale), &errors)
        };
        let recording = bench.recording(&parameters);
        let dispatches = layer.forward(recording, &input.tensor, &Epilogue::store(&output))?;
        let store = Epilogue::store(&dinput);
        let backward = layer.backward(recording, &parameters, &input.tensor, &doutput.tensor, Some(&store))?;
        let case = format!("by {factor}");
        bench.check_variant(&case, dispatches, [wanted("output", &output, &forward, &input.values)])?;
        let gradient = wanted("dinput", &dinput, &forward.transpose(), &doutput.values);
        bench.check_variant(&case, backward, [gradient])?;
    }
    Ok(())
}
