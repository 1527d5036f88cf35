//! The self-test of `shaders/nn/convolution/`: convolutions and transposed convolutions as plain loops over windows.
//!
//! Values of grids are matrices with a row for each position, or for each image; both have their values in the same order, as
//! `(examples, height, width, channels)`.

use super::dense::parameter;
use crate::Error;
use crate::gpu::{Arena, Tensor};
use crate::nn::{self, Convolution, Direction, Epilogue, Extent, Layer, Window};
use crate::selftest::bench::{Bench, Operand, Output, poisoned};
use crate::selftest::{Checks, Matrix, tolerance};

pub(super) const CHECKS: Checks = &[
    ("nn/convolution:forward", |bench| check_forward(bench, Direction::Down)),
    ("nn/convolution:transposed", |bench| check_forward(bench, Direction::Up)),
    ("nn/convolution:backward", |bench| check_backward(bench, Direction::Down)),
    ("nn/convolution:backward of transposed", |bench| check_backward(bench, Direction::Up)),
];

/// A convolution between a large and a small grid.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// The large grid.
    pub large: Extent,
    /// Channels of the small grid.
    pub channels: usize,
    /// The window.
    pub window: Window,
}

const fn geometry(
    positions: [usize; 2],
    [channels, small]: [usize; 2],
    [kernel, stride, padding]: [usize; 3],
) -> Geometry {
    let large = Extent { positions, channels, packed: !channels.is_multiple_of(4) };
    Geometry { large, channels: small, window: Window { kernel, stride, padding } }
}

/// Odd sizes, every stride and padding, images of 1, 3 and 5 channels; windows that leave positions out.
pub const GEOMETRIES: [Geometry; 7] = [
    geometry([5, 7], [4, 8], [4, 2, 1]),
    geometry([7, 5], [1, 4], [3, 2, 1]),
    geometry([6, 6], [3, 12], [4, 2, 1]),
    geometry([5, 4], [8, 4], [3, 1, 1]),
    geometry([9, 8], [5, 4], [5, 3, 0]),
    geometry([4, 3], [36, 40], [2, 1, 0]),
    geometry([5, 5], [4, 4], [1, 2, 0]),
];

impl Geometry {
    fn layer(&self, direction: Direction) -> Convolution {
        Convolution::new("layer", self.large, self.channels, self.window, direction)
    }

    fn small(&self) -> Extent {
        self.layer(Direction::Down).output()
    }

    /// Calls a function for each tap of each window of an example: the position of the window in the small grid, the position
    /// in the large one, and the tap.
    fn taps(&self, mut visit: impl FnMut(usize, usize, [usize; 2])) {
        let Window { kernel, stride, padding } = self.window;
        let ([height, width], [small_height, small_width]) = (self.large.positions, self.small().positions);
        for (y, x) in (0..small_height).flat_map(|y| (0..small_width).map(move |x| (y, x))) {
            for (v, u) in (0..kernel).flat_map(|v| (0..kernel).map(move |u| (v, u))) {
                let at = [(y * stride + v).wrapping_sub(padding), (x * stride + u).wrapping_sub(padding)];
                if at[0] < height && at[1] < width {
                    visit(y * small_width + x, at[0] * width + at[1], [v, u]);
                }
            }
        }
    }

    /// Calls a function for each product of a value of the small grid, a weight, and a value of the large grid: their places.
    fn products(&self, examples: usize, mut visit: impl FnMut(usize, [usize; 2], usize)) {
        let (channels, small) = (self.large.channels, self.small());
        for b in 0..examples {
            self.taps(|from, to, [v, u]| {
                for (o, i) in (0..self.channels).flat_map(|o| (0..channels).map(move |i| (o, i))) {
                    let weight = [o * self.window.kernel + v, u * channels + i];
                    visit(
                        b * small.len() + from * small.channels + o,
                        weight,
                        b * self.large.len() + to * channels + i,
                    );
                }
            });
        }
    }

    fn matrix(&self, extent: Extent, values: &[f64]) -> Matrix {
        let columns = extent.matrix(1)[1];
        Matrix::from_fn(values.len() / columns, columns, |r, c| values[r * columns + c])
    }

    /// `small[b, y, x, o] = bias[o] + sum_{v, u, i} large[b, s y + v - p, s x + u - p, i] * weight[o, v, u, i]`
    pub fn down(&self, large: &Matrix, weight: &Matrix, bias: &Matrix) -> Matrix {
        let (examples, small) = (large.values().len() / self.large.len(), self.small());
        let mut values: Vec<f64> = (0..examples * small.len()).map(|i| bias.at(0, i % small.channels)).collect();
        self.products(examples, |s, [row, column], l| values[s] += large.values()[l] * weight.at(row, column));
        self.matrix(small, &values)
    }

    /// The adjoint: `large[b, Y, X, i] = bias[i] +` the sum of `small[b, y, x, o] * weight[o, v, u, i]` over the windows that
    /// `(Y, X)` is in.
    pub fn up(&self, small: &Matrix, weight: &Matrix, bias: &Matrix) -> Matrix {
        let (examples, channels) = (small.values().len() / self.small().len(), self.large.channels);
        let mut values: Vec<f64> = (0..examples * self.large.len()).map(|i| bias.at(0, i % channels)).collect();
        self.products(examples, |s, [row, column], l| values[l] += small.values()[s] * weight.at(row, column));
        self.matrix(self.large, &values)
    }

    /// `dweight[o, v, u, i] = sum_{b, y, x} small[b, y, x, o] * large[b, s y + v - p, s x + u - p, i]`
    pub fn dweight(&self, large: &Matrix, small: &Matrix) -> Matrix {
        let (kernel, columns) = (self.window.kernel, self.window.kernel * self.large.channels);
        let mut values = vec![0.0; self.channels * kernel * columns];
        let examples = large.values().len() / self.large.len();
        self.products(examples, |s, [row, column], l| {
            values[row * columns + column] += small.values()[s] * large.values()[l];
        });
        Matrix::from_fn(self.channels * kernel, columns, |r, c| values[r * columns + c])
    }

    /// `dbias[c] = sum_{b, y, x} doutput[b, y, x, c]`
    pub fn dbias(doutput: &Matrix, channels: usize) -> Matrix {
        let values = doutput.values();
        Matrix::from_fn(1, channels, |_, c| values.iter().skip(c).step_by(channels).sum())
    }
}

/// A geometry for the sizes of a case: every number of rows has another one.
fn of_case(bench: &Bench<'_>) -> Geometry {
    GEOMETRIES[(bench.sizes.batch + bench.sizes.columns) % GEOMETRIES.len()]
}

/// An operand of a grid.
fn operand(bench: &mut Bench<'_>, extent: Extent) -> Result<Operand, Error> {
    bench.samples = extent.rows();
    let operand = bench.input(extent.matrix(1)[1], |draw, _| draw);
    bench.samples = 1;
    operand
}

fn output(bench: &mut Bench<'_>, extent: Extent) -> Result<Tensor, Error> {
    bench.samples = extent.rows();
    let output = bench.output(extent.matrix(1)[1]);
    bench.samples = 1;
    output
}

/// A layer with its parameters' values.
fn layer(
    bench: &mut Bench<'_>,
    of: Geometry,
    direction: Direction,
) -> Result<(Convolution, Arena, [Matrix; 2]), Error> {
    let layer = of.layer(direction);
    let parameters = nn::arena(bench.gpu, &layer.parameters())?;
    let weight = parameter(bench, &parameters.get("layer.weight"))?;
    let bias = parameter(bench, &parameters.get("layer.bias"))?;
    Ok((layer, parameters, [weight, bias]))
}

fn check_forward(bench: &mut Bench<'_>, direction: Direction) -> Result<(), Error> {
    let of = of_case(bench);
    let (layer, parameters, [weight, bias]) = layer(bench, of, direction)?;
    let input = operand(bench, layer.input())?;
    let result = output(bench, layer.output())?;
    let formula = |input: &Matrix, weight: &Matrix, bias: &Matrix| match direction {
        Direction::Down => of.down(input, weight, bias),
        Direction::Up => of.up(input, weight, bias),
    };
    let values = formula(&input.values, &weight, &bias);
    let terms = of.window.area() * layer.input().channels + 1;
    let magnitudes = formula(&input.values.abs(), &weight.abs(), &bias.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(terms, magnitude));
    let dispatches = layer.forward(bench.recording(&parameters), &input.tensor, &Epilogue::store(&result))?;
    if of.large.packed && direction == Direction::Up {
        // Positions apart from each other, without the bias.
        let first = &dispatches[0];
        let none = bias.map(|_| 0.0);
        let apart = poisoned(bench.gpu, first.written()[0].clone())?;
        let extent = Extent { packed: false, ..of.large };
        let [values, magnitudes] =
            [formula(&input.values, &weight, &none), formula(&input.values.abs(), &weight.abs(), &none)]
                .map(|values| of.matrix(extent, values.values()));
        let errors = magnitudes.map(|magnitude| tolerance::sum(terms, magnitude));
        bench.check_variant("apart", first.clone(), [Output::matrix("result", &apart, &values, &errors)])?;
    }
    bench.check(dispatches, [Output::matrix("result", &result, &values, &errors)])
}

fn check_backward(bench: &mut Bench<'_>, direction: Direction) -> Result<(), Error> {
    let of = of_case(bench);
    let (layer, parameters, [weight, _]) = layer(bench, of, direction)?;
    let (input, doutput) = (operand(bench, layer.input())?, operand(bench, layer.output())?);
    let dinput = output(bench, layer.input())?;
    for accumulate in [false, true] {
        let gradients = nn::arena(bench.gpu, &layer.parameters())?;
        let mut outputs = Vec::new();
        for name in ["weight", "bias"] {
            let tensor = gradients.get(&format!("layer.{name}"));
            let mut before = Matrix::from_fn(tensor.rows(), tensor.columns(), |_, _| 0.0);
            if accumulate {
                before = parameter(bench, &tensor)?;
            } else {
                poisoned(bench.gpu, tensor.clone())?;
            }
            let formula = |input: &Matrix, doutput: &Matrix| match (name, direction) {
                ("bias", _) => Geometry::dbias(doutput, layer.output().channels),
                (_, Direction::Down) => of.dweight(input, doutput),
                (_, Direction::Up) => of.dweight(doutput, input),
            };
            let values = formula(&input.values, &doutput.values).zip(&before, |value, before| value + before);
            let magnitudes = formula(&input.values.abs(), &doutput.values.abs());
            let terms = bench.sizes.rows * layer.output().positions.iter().product::<usize>() + 1;
            let errors = magnitudes.zip(&before, |magnitude, before| tolerance::sum(terms, magnitude + before.abs()));
            outputs.push(Output::matrix(if name == "bias" { "dbias" } else { "dweight" }, &tensor, &values, &errors));
        }
        let recording = nn::Recording { accumulate, ..bench.recording(&parameters) };
        let dispatches = layer.backward(recording, &gradients, &input.tensor, &doutput.tensor, None)?;
        if let Some(slices) = dispatches.iter().find(|dispatch| dispatch.label().ends_with("sum_slices")) {
            let sums = Geometry::dbias(&doutput.values, layer.output().channels);
            let terms = bench.sizes.rows * layer.output().positions.iter().product::<usize>();
            let magnitudes = Geometry::dbias(&doutput.values.abs(), layer.output().channels);
            let errors = magnitudes.map(|magnitude| tolerance::sum(terms, magnitude));
            let partial = poisoned(bench.gpu, slices.written()[0].clone())?;
            // The last cases have several slices, whose sum is checked below.
            if partial.rows() == 1 {
                bench.check(slices.clone(), [Output::unpadded("partial_bias", &partial, &sums, &errors)])?;
            }
        }
        bench.check_variant(if accumulate { "added" } else { "" }, dispatches, outputs)?;
    }
    let none = |extent: Extent| Matrix::from_fn(1, extent.channels, |_, _| 0.0);
    let formula = |doutput: &Matrix, weight: &Matrix| match direction {
        Direction::Down => of.up(doutput, weight, &none(layer.input())),
        Direction::Up => of.down(doutput, weight, &none(layer.input())),
    };
    let values = formula(&doutput.values, &weight);
    let magnitudes = formula(&doutput.values.abs(), &weight.abs());
    let terms = of.window.area() * layer.output().channels;
    let errors = magnitudes.map(|magnitude| tolerance::sum(terms, magnitude));
    let gradients = nn::arena(bench.gpu, &layer.parameters())?;
    let (x, store) = (&input.tensor, Epilogue::store(&dinput));
    let dispatches = layer.backward(bench.recording(&parameters), &gradients, x, &doutput.tensor, Some(&store))?;
    bench.check(dispatches, [Output::matrix("dinput", &dinput, &values, &errors)])
}
