//! The self-test of `shaders/nn/normalise/layer.wgsl` and of the files below it.

use super::{Given, Layer, SAMPLES, Statistics, pre, result_errors, standardise_backward_errors, standardise_errors};
use crate::Error;
use crate::nn::{Epilogue, Mode, NormKind, NormValues};
use crate::selftest::Checks;
use crate::selftest::bench::{Bench, Output};

pub(in crate::selftest::nn) const CHECKS: Checks = &[
    ("nn/normalise/layer.wgsl:forward", check_forward),
    ("nn/normalise/layer/backward.wgsl:backward", check_backward),
    ("nn/normalise/layer/parameters.wgsl:backward_parameters", check_parameters),
];

fn check_forward(bench: &mut Bench<'_>) -> Result<(), Error> {
    bench.samples = SAMPLES;
    let layer = Layer::new(bench, NormKind::Layer)?;
    let pre = pre(bench)?;
    let (result, statistics) = (bench.output(bench.sizes.columns)?, bench.output(2)?);
    let values = NormValues { pre: pre.tensor.clone(), statistics: statistics.clone() };
    let store = Epilogue::store(&result);
    let dispatch = layer.normalisation.forward(layer.recording(bench, Mode::Training), &values, &store)?;
    let columns = pre.values.transpose();
    let own = Statistics::of(&columns);
    let xhat = super::standardise(&columns, &own.values).transpose();
    let errors = standardise_errors(&columns, &own.values, &own.errors).transpose();
    let errors = result_errors(&xhat, &errors, &layer.norm);
    let results = super::scale_and_shift(&xhat, &layer.norm);
    let outputs = [
        Output::matrix("result", &result, &results, &errors),
        Output::matrix("statistics", &statistics, &own.values.transpose(), &own.errors.transpose()),
    ];
    bench.check(dispatch, outputs)
}

fn check_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let given = Given::new(bench, NormKind::Layer)?;
    let dispatch = given.dispatch(bench, 1)?;
    let pre = given.pre.values.transpose();
    let g = super::through_scale(&given.gradient.values, &given.layer.norm).transpose();
    let values = super::standardise_backward(&pre, &given.statistics, &g).transpose();
    let errors = standardise_backward_errors(&pre, &given.statistics, &g).transpose();
    bench.check(dispatch, [Output::matrix("gradient", &given.gradient.tensor, &values, &errors)])
}

fn check_parameters(bench: &mut Bench<'_>) -> Result<(), Error> {
    let given = Given::new(bench, NormKind::Layer)?;
    let dispatch = given.dispatch(bench, 0)?;
    let xhat = super::standardise(&given.pre.values.transpose(), &given.statistics).transpose();
    let (dnorm, errors) = given.parameters(&xhat);
    bench.check(dispatch, [Output::matrix("dnorm", &given.layer.dnorm(), &dnorm, &errors)])
}
