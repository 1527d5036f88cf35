//! The self-test of `shaders/nn/normalise/`: the references, and the code that the checks over the batch and over the
//! layer share.
//!
//! Over the batch, each column of a matrix is normalised; over the layer, each column of its transpose. Statistics are
//! `(2, columns)`: the mean, then the inverse standard deviation.

pub(super) mod batch;
pub(super) mod layer;

use crate::Error;
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::nn::{self, Mode, Norm, NormKind, NormValues, Recording};
use crate::selftest::Matrix;
use crate::selftest::bench::{Bench, Operand, poisoned};
use crate::selftest::tolerance::{self, DIVISION, INVERSE_SQRT, ULP};

/// What is added to a variance.
pub const EPSILON: f64 = 1e-5;

/// How far the running statistics move towards the batch's.
pub const MOMENTUM: f64 = 0.1;

/// The mean of each column over the rows, as one row.
pub fn means(values: &Matrix) -> Matrix {
    let rows = values.rows();
    Matrix::from_fn(1, values.columns(), |_, c| (0..rows).map(|r| values.at(r, c)).sum::<f64>() / rows as f64)
}

/// The biased variance of each column over the rows, as one row.
pub fn variances(values: &Matrix) -> Matrix {
    let mean = means(values);
    means(&Matrix::from_fn(values.rows(), values.columns(), |r, c| (values.at(r, c) - mean.at(0, c)).powi(2)))
}

/// `1 / sqrt(variance + EPSILON)`
pub fn inverse_std(variance: f64) -> f64 {
    (variance + EPSILON).sqrt().recip()
}

/// The statistics of each column.
pub fn statistics(values: &Matrix) -> Matrix {
    let (means, variances) = (means(values), variances(values));
    Matrix::from_fn(2, values.columns(), |r, c| [means.at(0, c), inverse_std(variances.at(0, c))][r])
}

/// `xhat[r, c] = (values[r, c] - mean[c]) * inverse_std[c]`
pub fn standardise(values: &Matrix, statistics: &Matrix) -> Matrix {
    Matrix::from_fn(values.rows(), values.columns(), |r, c| {
        (values.at(r, c) - statistics.at(0, c)) * statistics.at(1, c)
    })
}

/// `scale[c] * xhat[r, c] + shift[c]`, where these are the first two rows of `norm`.
pub fn scale_and_shift(xhat: &Matrix, norm: &Matrix) -> Matrix {
    Matrix::from_fn(xhat.rows(), xhat.columns(), |r, c| norm.at(0, c) * xhat.at(r, c) + norm.at(1, c))
}

/// `scale[c] * gradient[r, c]`, the gradient of xhat.
pub fn through_scale(gradient: &Matrix, norm: &Matrix) -> Matrix {
    Matrix::from_fn(gradient.rows(), gradient.columns(), |r, c| norm.at(0, c) * gradient.at(r, c))
}

/// The gradient of what is standardised, from that of xhat:
/// `inverse_std[c] * (g[r, c] - mean_r g[r, c] - xhat[r, c] * mean_r (g[r, c] * xhat[r, c]))`
pub fn standardise_backward(values: &Matrix, statistics: &Matrix, g: &Matrix) -> Matrix {
    let xhat = standardise(values, statistics);
    let (mean, product) = (means(g), means(&g.zip(&xhat, |g, xhat| g * xhat)));
    Matrix::from_fn(g.rows(), g.columns(), |r, c| {
        statistics.at(1, c) * (g.at(r, c) - mean.at(0, c) - xhat.at(r, c) * product.at(0, c))
    })
}

/// The gradients of scale and shift, `(2, columns)`: `sum_r gradient[r, c] * xhat[r, c]` and `sum_r gradient[r, c]`.
pub fn parameters_backward(xhat: &Matrix, gradient: &Matrix) -> Matrix {
    let rows = gradient.rows();
    Matrix::from_fn(2, gradient.columns(), |parameter, c| {
        (0..rows).map(|r| gradient.at(r, c) * if parameter == 0 { xhat.at(r, c) } else { 1.0 }).sum()
    })
}

/// The running mean and variance, `(2, columns)`, after a batch in training; a batch of one row leaves them unchanged.
pub fn running(values: &Matrix, before: &Matrix) -> Matrix {
    let rows = values.rows() as f64;
    let (means, variances) = (means(values), variances(values));
    if values.rows() == 1 {
        return before.clone();
    }
    Matrix::from_fn(2, values.columns(), |r, c| {
        let target = [means.at(0, c), variances.at(0, c) * rows / (rows - 1.0)][r];
        before.at(r, c) + MOMENTUM * (target - before.at(r, c))
    })
}

/// Rows of each example: all of them count.
const SAMPLES: usize = 2;

/// The normalisation of a layer with its parameters, and an arena for their gradients.
struct Layer {
    normalisation: Norm,
    parameters: Arena,
    norm: Matrix,
    gradients: Arena,
}

impl Layer {
    fn new(bench: &mut Bench<'_>, kind: NormKind) -> Result<Layer, Error> {
        let width = bench.sizes.columns;
        let normalisation = kind.of_layer("layer", width).expect("a normalisation");
        let specs = [normalisation.parameter()];
        let [parameters, gradients] = [(); 2].map(|()| nn::arena(bench.gpu, &specs));
        let (parameters, gradients) = (parameters?, gradients?);
        let tensor = parameters.get("layer.norm");
        // The last row over the batch is a variance.
        let value = |draw: f32, row| if row == 3 { 0.1 + draw.abs() } else { draw };
        let values: Vec<f32> = (0..tensor.rows() * width).map(|i| value(bench.draw(), i / width)).collect();
        tensor.write(bench.gpu, &values)?;
        let norm = Matrix::from_fn(tensor.rows(), width, |r, c| f64::from(values[r * width + c]));
        poisoned(bench.gpu, gradients.get("layer.norm"))?;
        Ok(Layer { normalisation, parameters, norm, gradients })
    }

    fn recording<'a>(&'a self, bench: &'a Bench<'_>, mode: Mode) -> Recording<'a> {
        Recording { mode, ..bench.recording(&self.parameters) }
    }

    fn dnorm(&self) -> Tensor {
        self.gradients.get("layer.norm")
    }
}

/// Draws the input: about a number that is not zero, and wider in some rows than in others.
fn pre(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, row| 0.5 + [1.0, 3.0][row % 2] * draw)
}

/// The statistics of the columns of `values` as the kernels compute them, and how far they may be off.
struct Statistics {
    values: Matrix,
    errors: Matrix,
    variances: Matrix,
    variance_errors: Matrix,
}

impl Statistics {
    fn of(pre: &Matrix) -> Statistics {
        let (rows, columns) = (pre.rows(), pre.columns());
        let n = rows as f64;
        let values = statistics(pre);
        let (centre, variances) = (means(pre), variances(pre));
        let magnitudes = means(&pre.abs());
        let mean_errors =
            magnitudes.zip(&centre, |magnitude, mean| tolerance::sum(rows, n * magnitude) / n + DIVISION * mean.abs());
        // The error of the mean, and the difference's own, go through the squares.
        let square_errors = means(&Matrix::from_fn(rows, columns, |r, c| {
            let centred = (pre.at(r, c) - centre.at(0, c)).abs();
            let error = mean_errors.at(0, c) + ULP * centred;
            2.0 * centred * error + error * error
        }));
        let variance_errors = Matrix::from_fn(1, columns, |_, c| {
            let variance = variances.at(0, c);
            square_errors.at(0, c) + tolerance::sum(rows, n * variance) / n + DIVISION * variance
        });
        let errors = Matrix::from_fn(2, columns, |r, c| {
            let offset = variances.at(0, c) + EPSILON;
            let relative = 0.5 * (variance_errors.at(0, c) / offset + ULP) + INVERSE_SQRT;
            [mean_errors.at(0, c), values.at(1, c) * relative][r]
        });
        Statistics { values, errors, variances, variance_errors }
    }
}

/// How far xhat may be off, from the errors of the statistics.
fn standardise_errors(pre: &Matrix, statistics: &Matrix, errors: &Matrix) -> Matrix {
    Matrix::from_fn(pre.rows(), pre.columns(), |r, c| {
        let centred = (pre.at(r, c) - statistics.at(0, c)).abs();
        let inverse = statistics.at(1, c);
        inverse * (errors.at(0, c) + 2.0 * ULP * centred) + centred * errors.at(1, c)
    })
}

/// How far the result may be off, from the errors of xhat.
fn result_errors(xhat: &Matrix, errors: &Matrix, norm: &Matrix) -> Matrix {
    let results = scale_and_shift(xhat, norm);
    Matrix::from_fn(xhat.rows(), xhat.columns(), |r, c| {
        let scale = norm.at(0, c).abs();
        scale * (errors.at(r, c) + ULP * xhat.at(r, c).abs()) + ULP * results.at(r, c).abs()
    })
}

/// The inputs of the backward pass. The statistics need not be those of `pre`: the formula is valid for any.
struct Given {
    layer: Layer,
    pre: Operand,
    gradient: Operand,
    values: NormValues,
    statistics: Matrix,
}

impl Given {
    fn new(bench: &mut Bench<'_>, kind: NormKind) -> Result<Given, Error> {
        bench.samples = SAMPLES;
        let layer = Layer::new(bench, kind)?;
        let pre = pre(bench)?;
        let gradient = bench.in_place(bench.sizes.columns, |draw, _| draw)?;
        let statistic = |draw: f32| 0.6 + 0.3 * draw;
        let (tensor, statistics) = match kind {
            NormKind::Layer => {
                let drawn = bench.input(2, |draw, _| statistic(draw))?;
                (drawn.tensor, drawn.values.transpose())
            }
            _ => {
                let width = bench.sizes.columns;
                let words: Vec<f32> = (0..2 * width).map(|_| statistic(bench.draw())).collect();
                let tensor = Tensor::from_values(bench.gpu, 2, width, &words)?;
                (tensor, Matrix::from_fn(2, width, |r, c| f64::from(words[r * width + c])))
            }
        };
        let values = NormValues { pre: pre.tensor.clone(), statistics: tensor };
        Ok(Given { layer, pre, gradient, values, statistics })
    }

    /// Records the backward pass and returns its dispatch number `index`.
    fn dispatch(&self, bench: &Bench<'_>, index: usize) -> Result<Dispatch, Error> {
        let recording = self.layer.recording(bench, Mode::Training);
        let (gradients, gradient) = (&self.layer.gradients, &self.gradient.tensor);
        Ok(self.layer.normalisation.backward(recording, gradients, &self.values, gradient)?.swap_remove(index))
    }

    /// The gradients of scale and shift and their errors, in a matrix of as many rows as the parameters.
    fn parameters(&self, xhat: &Matrix) -> (Matrix, Matrix) {
        let gradient = &self.gradient.values;
        let rows = self.layer.norm.rows();
        let values = parameters_backward(xhat, gradient);
        let magnitudes = parameters_backward(&xhat.abs(), &gradient.abs());
        let or_zero =
            |of: &Matrix| Matrix::from_fn(rows, of.columns(), |r, c| if r < of.rows() { of.at(r, c) } else { 0.0 });
        // The difference from the mean and the product with 1 / std are rounded before the products.
        let error = |magnitude| tolerance::sum(gradient.rows() + 2, magnitude);
        (or_zero(&values), or_zero(&magnitudes.map(error)))
    }
}

/// The error of the gradient of what is standardised, from that of xhat, `g`, which is itself rounded. The means are divided as
/// one sum; the other operations are rounded one by one.
fn standardise_backward_errors(pre: &Matrix, statistics: &Matrix, g: &Matrix) -> Matrix {
    let rows = g.rows();
    let n = rows as f64;
    let xhat = standardise(pre, statistics).abs();
    let sums = means(&g.abs());
    let products = means(&g.abs().zip(&xhat, |g, xhat| g * xhat));
    Matrix::from_fn(rows, g.columns(), |r, c| {
        let (mean, product) = (sums.at(0, c), xhat.at(r, c) * products.at(0, c));
        let sum_errors = tolerance::sum(rows + 4, n * (mean + product)) / n;
        statistics.at(1, c) * (sum_errors + (DIVISION + 3.0 * ULP) * (mean + product) + 4.0 * ULP * g.at(r, c).abs())
    })
}
