//! The checks of `shaders/nn/normalise/`.
//!
//! As in the reference, what is normalised is each column of a matrix, and over the layer each column of its transpose.

use crate::Error;
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::nn::{self, Epilogue, Mode, Normalisation, Normalise, Normalised, Recording};
use crate::selftest::bench::{Bench, Operand, Output, poisoned};
use crate::selftest::reference::{Matrix, normalise as reference};
use crate::selftest::tolerance::{self, DIVISION, INVERSE_SQRT, ULP};

/// Rows of each example: all of them count.
const SAMPLES: usize = 2;

/// The normalisation of a layer with its parameters, and an arena for their gradients.
struct Layer {
    normalisation: Normalisation,
    parameters: Arena,
    norm: Matrix,
    gradients: Arena,
}

impl Layer {
    fn new(bench: &mut Bench<'_>, normalise: Normalise) -> Result<Layer, Error> {
        let width = bench.sizes.columns;
        let normalisation = normalise.of_layer("layer", width).expect("a normalisation");
        let specs = [normalisation.parameters()];
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
        let (gpu, step, samples) = (bench.gpu, &bench.step_tensor, bench.samples);
        Recording { gpu, step, parameters: &self.parameters, samples, mode, accumulate: false }
    }

    fn dnorm(&self) -> Tensor {
        self.gradients.get("layer.norm")
    }
}

/// What is normalised: about a number that is not zero, and wider in some rows than in others.
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
        let values = reference::statistics(pre);
        let (means, variances) = (reference::means(pre), reference::variances(pre));
        let magnitudes = reference::means(&pre.abs());
        let mean_errors =
            magnitudes.zip(&means, |magnitude, mean| tolerance::sum(rows, n * magnitude) / n + DIVISION * mean.abs());
        // The error of the mean, and the difference's own, go through the squares.
        let square_errors = reference::means(&Matrix::from_fn(rows, columns, |r, c| {
            let centred = (pre.at(r, c) - means.at(0, c)).abs();
            let error = mean_errors.at(0, c) + ULP * centred;
            2.0 * centred * error + error * error
        }));
        let variance_errors = Matrix::from_fn(1, columns, |_, c| {
            let variance = variances.at(0, c);
            square_errors.at(0, c) + tolerance::sum(rows, n * variance) / n + DIVISION * variance
        });
        let errors = Matrix::from_fn(2, columns, |r, c| {
            let offset = variances.at(0, c) + reference::EPSILON;
            let relative = 0.5 * (variance_errors.at(0, c) / offset + ULP) + INVERSE_SQRT;
            [mean_errors.at(0, c), values.at(1, c) * relative][r]
        });
        Statistics { values, errors, variances, variance_errors }
    }
}

/// How far xhat may be off, by what the statistics may be.
fn standardise_errors(pre: &Matrix, statistics: &Matrix, errors: &Matrix) -> Matrix {
    Matrix::from_fn(pre.rows(), pre.columns(), |r, c| {
        let centred = (pre.at(r, c) - statistics.at(0, c)).abs();
        let inverse = statistics.at(1, c);
        inverse * (errors.at(0, c) + 2.0 * ULP * centred) + centred * errors.at(1, c)
    })
}

/// How far the result may be off, by what xhat may be.
fn result_errors(xhat: &Matrix, errors: &Matrix, norm: &Matrix) -> Matrix {
    let results = reference::scale_and_shift(xhat, norm);
    Matrix::from_fn(xhat.rows(), xhat.columns(), |r, c| {
        let scale = norm.at(0, c).abs();
        scale * (errors.at(r, c) + ULP * xhat.at(r, c).abs()) + ULP * results.at(r, c).abs()
    })
}

pub fn batch(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.samples = SAMPLES;
    let layer = Layer::new(bench, Normalise::Batch)?;
    let pre = pre(bench)?;
    let width = bench.sizes.columns;
    let result = bench.output(width)?;
    let statistics = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 2, width)?)?;
    let values = Normalised { pre: pre.tensor.clone(), statistics: statistics.clone() };
    let store = Epilogue::store(&result);
    let dispatch = layer.normalisation.forward(layer.recording(bench, Mode::Training), &values, &store)?;

    let own = Statistics::of(&pre.values);
    let xhat = reference::standardise(&pre.values, &own.values);
    let errors = standardise_errors(&pre.values, &own.values, &own.errors);
    let errors = result_errors(&xhat, &errors, &layer.norm);
    let results = reference::scale_and_shift(&xhat, &layer.norm);

    let before = Matrix::from_fn(2, width, |r, c| layer.norm.at(2 + r, c));
    let running = reference::running(&pre.values, &before);
    let norm = Matrix::from_fn(4, width, |r, c| if r < 2 { layer.norm.at(r, c) } else { running.at(r - 2, c) });
    let unbiased = pre.values.rows() as f64 / (pre.values.rows() as f64 - 1.0).max(1.0);
    let norm_errors = Matrix::from_fn(4, width, |r, c| {
        if r < 2 || pre.values.rows() == 1 {
            return 0.0;
        }
        let (before, after) = (layer.norm.at(r, c), norm.at(r, c));
        let variance = own.variances.at(0, c);
        let target_error = match r {
            2 => own.errors.at(0, c),
            _ => unbiased * (own.variance_errors.at(0, c) + DIVISION * variance),
        };
        let moved = (after - before).abs();
        // The difference, the momentum, the product and the sum are rounded.
        reference::MOMENTUM * target_error + 3.0 * ULP * moved + ULP * after.abs()
    });
    let outputs = [
        Output::matrix("result", &result, &results, &errors),
        Output::matrix("statistics", &statistics, &own.values, &own.errors),
        Output::matrix("norm", &layer.parameters.get("layer.norm"), &norm, &norm_errors),
    ];
    bench.check(dispatch, outputs)
}

pub fn batch_evaluate(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.samples = SAMPLES;
    let layer = Layer::new(bench, Normalise::Batch)?;
    let pre = pre(bench)?;
    let width = bench.sizes.columns;
    let result = bench.output(width)?;
    let values = Normalised { pre: pre.tensor.clone(), statistics: Tensor::zeros(bench.gpu, 2, width)? };
    let store = Epilogue::store(&result);
    let dispatch = layer.normalisation.forward(layer.recording(bench, Mode::Evaluation), &values, &store)?;
    let running = |r: usize, c| [layer.norm.at(2, c), reference::inverse_std(layer.norm.at(3, c))][r];
    let statistics = Matrix::from_fn(2, width, running);
    let statistic_errors = Matrix::from_fn(2, width, |r, c| [0.0, (INVERSE_SQRT + ULP) * running(1, c)][r]);
    let xhat = reference::standardise(&pre.values, &statistics);
    let errors = standardise_errors(&pre.values, &statistics, &statistic_errors);
    let errors = result_errors(&xhat, &errors, &layer.norm);
    let results = reference::scale_and_shift(&xhat, &layer.norm);
    bench.check(dispatch, [Output::matrix("result", &result, &results, &errors)])
}

pub fn layer(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.samples = SAMPLES;
    let layer = Layer::new(bench, Normalise::Layer)?;
    let pre = pre(bench)?;
    let (result, statistics) = (bench.output(bench.sizes.columns)?, bench.output(2)?);
    let values = Normalised { pre: pre.tensor.clone(), statistics: statistics.clone() };
    let store = Epilogue::store(&result);
    let dispatch = layer.normalisation.forward(layer.recording(bench, Mode::Training), &values, &store)?;
    let columns = pre.values.transpose();
    let own = Statistics::of(&columns);
    let xhat = reference::standardise(&columns, &own.values).transpose();
    let errors = standardise_errors(&columns, &own.values, &own.errors).transpose();
    let errors = result_errors(&xhat, &errors, &layer.norm);
    let results = reference::scale_and_shift(&xhat, &layer.norm);
    let outputs = [
        Output::matrix("result", &result, &results, &errors),
        Output::matrix("statistics", &statistics, &own.values.transpose(), &own.errors.transpose()),
    ];
    bench.check(dispatch, outputs)
}

/// What the backward pass is given. The statistics need not be those of `pre`: the formula holds for any.
struct Given {
    layer: Layer,
    pre: Operand,
    gradient: Operand,
    values: Normalised,
    statistics: Matrix,
}

impl Given {
    fn new(bench: &mut Bench<'_>, normalise: Normalise) -> Result<Given, Error> {
        bench.samples = SAMPLES;
        let layer = Layer::new(bench, normalise)?;
        let pre = pre(bench)?;
        let gradient = bench.in_place(bench.sizes.columns, |draw, _| draw)?;
        let statistic = |draw: f32| 0.6 + 0.3 * draw;
        let (tensor, statistics) = match normalise {
            Normalise::Layer => {
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
        let values = Normalised { pre: pre.tensor.clone(), statistics: tensor };
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
        let values = reference::parameters_backward(xhat, gradient);
        let magnitudes = reference::parameters_backward(&xhat.abs(), &gradient.abs());
        let or_zero =
            |of: &Matrix| Matrix::from_fn(rows, of.columns(), |r, c| if r < of.rows() { of.at(r, c) } else { 0.0 });
        // The difference from the mean and the product with 1 / std are rounded before the products.
        let error = |magnitude| tolerance::sum(gradient.rows() + 2, magnitude);
        (or_zero(&values), or_zero(&magnitudes.map(error)))
    }
}

/// The error of the gradient of what is standardised, from that of xhat, `g`, which is itself rounded. The division of the
/// means is of their sum, the other operations are rounded one by one.
fn standardise_backward_errors(pre: &Matrix, statistics: &Matrix, g: &Matrix) -> Matrix {
    let rows = g.rows();
    let n = rows as f64;
    let xhat = reference::standardise(pre, statistics).abs();
    let sums = reference::means(&g.abs());
    let products = reference::means(&g.abs().zip(&xhat, |g, xhat| g * xhat));
    Matrix::from_fn(rows, g.columns(), |r, c| {
        let (mean, product) = (sums.at(0, c), xhat.at(r, c) * products.at(0, c));
        let sum_errors = tolerance::sum(rows + 4, n * (mean + product)) / n;
        statistics.at(1, c) * (sum_errors + (DIVISION + 3.0 * ULP) * (mean + product) + 4.0 * ULP * g.at(r, c).abs())
    })
}

pub fn batch_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let given = Given::new(bench, Normalise::Batch)?;
    let dispatch = given.dispatch(bench, 0)?;
    let (pre, statistics) = (&given.pre.values, &given.statistics);
    let (dnorm, dnorm_errors) = given.parameters(&reference::standardise(pre, statistics));
    let g = reference::through_scale(&given.gradient.values, &given.layer.norm);
    let values = reference::standardise_backward(pre, statistics, &g);
    let errors = standardise_backward_errors(pre, statistics, &g);
    let outputs = [
        Output::matrix("gradient", &given.gradient.tensor, &values, &errors),
        Output::matrix("dnorm", &given.layer.dnorm(), &dnorm, &dnorm_errors),
    ];
    bench.check(dispatch, outputs)
}

pub fn layer_parameters(bench: &mut Bench<'_>) -> Result<(), Error> {
    let given = Given::new(bench, Normalise::Layer)?;
    let dispatch = given.dispatch(bench, 0)?;
    let xhat = reference::standardise(&given.pre.values.transpose(), &given.statistics).transpose();
    let (dnorm, errors) = given.parameters(&xhat);
    bench.check(dispatch, [Output::matrix("dnorm", &given.layer.dnorm(), &dnorm, &errors)])
}

pub fn layer_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let given = Given::new(bench, Normalise::Layer)?;
    let dispatch = given.dispatch(bench, 1)?;
    let pre = given.pre.values.transpose();
    let g = reference::through_scale(&given.gradient.values, &given.layer.norm).transpose();
    let values = reference::standardise_backward(&pre, &given.statistics, &g).transpose();
    let errors = standardise_backward_errors(&pre, &given.statistics, &g).transpose();
    bench.check(dispatch, [Output::matrix("gradient", &given.gradient.tensor, &values, &errors)])
}
