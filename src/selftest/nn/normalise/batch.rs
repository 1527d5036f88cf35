//! The self-test of `shaders/nn/normalise/batch.wgsl` and of the files below it.

use super::{Given, Layer, SAMPLES, Statistics, pre, result_errors, standardise_backward_errors, standardise_errors};
use crate::Error;
use crate::gpu::Tensor;
use crate::nn::{Epilogue, Mode, NormKind, NormValues};
use crate::selftest::bench::{Bench, Output, poisoned};
use crate::selftest::tolerance::{DIVISION, INVERSE_SQRT, ULP};
use crate::selftest::{Checks, Matrix};

pub(in crate::selftest::nn) const CHECKS: Checks = &[
    ("nn/normalise/batch.wgsl:forward", check_forward),
    ("nn/normalise/batch/evaluate.wgsl:evaluate", check_evaluate),
    ("nn/normalise/batch/backward.wgsl:backward", check_backward),
];

fn check_forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.samples = SAMPLES;
    let layer = Layer::new(bench, NormKind::Batch)?;
    let pre = pre(bench)?;
    let width = bench.sizes.columns;
    let result = bench.output(width)?;
    let statistics = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 2, width)?)?;
    let values = NormValues { pre: pre.tensor.clone(), statistics: statistics.clone() };
    let store = Epilogue::store(&result);
    let dispatch = layer.normalisation.forward(layer.recording(bench, Mode::Training), &values, &store)?;

    let own = Statistics::of(&pre.values);
    let xhat = super::standardise(&pre.values, &own.values);
    let errors = standardise_errors(&pre.values, &own.values, &own.errors);
    let errors = result_errors(&xhat, &errors, &layer.norm);
    let results = super::scale_and_shift(&xhat, &layer.norm);

    let before = Matrix::from_fn(2, width, |r, c| layer.norm.at(2 + r, c));
    let running = super::running(&pre.values, &before);
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
        super::MOMENTUM * target_error + 3.0 * ULP * moved + ULP * after.abs()
    });
    let outputs = [
        Output::matrix("result", &result, &results, &errors),
        Output::matrix("statistics", &statistics, &own.values, &own.errors),
        Output::matrix("norm", &layer.parameters.get("layer.norm"), &norm, &norm_errors),
    ];
    bench.check(dispatch, outputs)
}

fn check_evaluate(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.samples = SAMPLES;
    let layer = Layer::new(bench, NormKind::Batch)?;
    let pre = pre(bench)?;
    let width = bench.sizes.columns;
    let result = bench.output(width)?;
    let values = NormValues { pre: pre.tensor.clone(), statistics: Tensor::zeros(bench.gpu, 2, width)? };
    let store = Epilogue::store(&result);
    let dispatch = layer.normalisation.forward(layer.recording(bench, Mode::Evaluation), &values, &store)?;
    let running = |r: usize, c| [layer.norm.at(2, c), super::inverse_std(layer.norm.at(3, c))][r];
    let statistics = Matrix::from_fn(2, width, running);
    let statistic_errors = Matrix::from_fn(2, width, |r, c| [0.0, (INVERSE_SQRT + ULP) * running(1, c)][r]);
    let xhat = super::standardise(&pre.values, &statistics);
    let errors = standardise_errors(&pre.values, &statistics, &statistic_errors);
    let errors = result_errors(&xhat, &errors, &layer.norm);
    let results = super::scale_and_shift(&xhat, &layer.norm);
    bench.check(dispatch, [Output::matrix("result", &result, &results, &errors)])
}

fn check_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let given = Given::new(bench, NormKind::Batch)?;
    let dispatch = given.dispatch(bench, 0)?;
    let (pre, statistics) = (&given.pre.values, &given.statistics);
    let (dnorm, dnorm_errors) = given.parameters(&super::standardise(pre, statistics));
    let g = super::through_scale(&given.gradient.values, &given.layer.norm);
    let values = super::standardise_backward(pre, statistics, &g);
    let errors = standardise_backward_errors(pre, statistics, &g);
    let outputs = [
        Output::matrix("gradient", &given.gradient.tensor, &values, &errors),
        Output::matrix("dnorm", &given.layer.dnorm(), &dnorm, &dnorm_errors),
    ];
    bench.check(dispatch, outputs)
}
