//! How each kernel is checked: what it is given, what it should make of it, and within what error.

mod activation;
mod adam;
mod dense;
mod eval;
mod latents;
mod levels;
mod likelihood;
mod mixture;
pub(super) mod nan;
mod normalise;
mod objective;
mod pixels;
mod step;

use super::bench::Bench;
use crate::Error;

/// Puts a kernel on the bench and reports the outcome.
pub(super) type Check = fn(&mut Bench<'_>) -> Result<(), Error>;

/// Every entry point of every WGSL file, and every epilogue. A new one gets a row here and its formula in `reference`.
pub(super) const KERNELS: &[(&str, Check)] = &[
    ("data/batch.wgsl", step::gather),
    ("nn/dense:forward", dense::forward),
    ("nn/dense:backward", dense::backward),
    ("nn/dense:backward_weight", dense::backward_weight),
    ("nn/activation.wgsl", activation::forward),
    ("nn/activation/backward.wgsl", activation::backward),
    ("nn/activation/gated.wgsl", activation::gated),
    ("nn/activation/gated/backward.wgsl", activation::gated_backward),
    ("nn/normalise/batch.wgsl:forward", normalise::batch),
    ("nn/normalise/batch/evaluate.wgsl:evaluate", normalise::batch_evaluate),
    ("nn/normalise/batch/backward.wgsl:backward", normalise::batch_backward),
    ("nn/normalise/layer.wgsl:forward", normalise::layer),
    ("nn/normalise/layer/backward.wgsl:backward", normalise::layer_backward),
    ("nn/normalise/layer/parameters.wgsl:backward_parameters", normalise::layer_parameters),
    ("posterior/normal.wgsl:draw", latents::draw),
    ("posterior/normal/backward.wgsl", latents::backward),
    ("posterior/normal/samples.wgsl:backward", latents::samples),
    ("objective/penalised/penalty.wgsl", objective::penalty),
    ("objective/weighted/log_weights.wgsl:add_up", objective::log_weights),
    ("objective/weighted/weights.wgsl:normalise", objective::weights),
    ("objective/weighted/scale.wgsl:scale", objective::scale),
    ("prior/standard_normal/sample.wgsl:sample", latents::sample),
    ("prior/mixture/prepare.wgsl:prepare", mixture::prepare),
    ("prior/mixture/score.wgsl:score", mixture::score),
    ("prior/mixture/combine.wgsl:combine", mixture::combine),
    ("prior/mixture/backward_z.wgsl:backward_z", mixture::backward_z),
    ("prior/mixture/backward_components.wgsl:backward_components", mixture::backward_components),
    ("prior/mixture/sample.wgsl:sample", mixture::sample),
    ("likelihood/bernoulli.wgsl", likelihood::bernoulli_log_prob),
    ("likelihood/bernoulli/mean.wgsl", likelihood::bernoulli_mean),
    ("likelihood/gaussian.wgsl", likelihood::gaussian_log_prob),
    ("likelihood/gaussian/logvar.wgsl:backward", likelihood::gaussian_backward_logvar),
    ("likelihood/gaussian/per_dimension.wgsl", likelihood::gaussian_per_dimension),
    ("likelihood/gaussian/per_dimension/logvar.wgsl:backward", likelihood::gaussian_per_dimension_backward_logvar),
    ("likelihood/gaussian_predicted.wgsl", levels::gaussian_predicted),
    ("likelihood/discretised_logistic.wgsl", levels::discretised_logistic),
    ("likelihood/beta_binomial.wgsl:evaluate", levels::beta_binomial),
    ("likelihood/categorical.wgsl:evaluate", levels::categorical),
    ("likelihood/pixels.wgsl:show, bernoulli", pixels::bernoulli_draw),
    ("likelihood/pixels.wgsl:show, gaussian", pixels::gaussian_draw),
    ("likelihood/pixels.wgsl:show, gaussian_predicted", pixels::gaussian_predicted),
    ("likelihood/pixels.wgsl:show, discretised_logistic", pixels::discretised_logistic),
    ("likelihood/pixels.wgsl:show, beta_binomial", pixels::beta_binomial),
    ("likelihood/pixels.wgsl:show, categorical", pixels::categorical),
    ("eval/importance.wgsl:accumulate", eval::accumulate),
    ("eval/latents.wgsl:add_up", eval::latents),
    ("optim/adam.wgsl:update", adam::update),
    ("optim/accumulate.wgsl:accumulate", adam::accumulate),
    ("metrics.wgsl:finish", step::metrics),
    ("gpu/peak.wgsl:multiply_add", step::peak),
    ("gpu/peak/copy.wgsl:copy", step::copy),
];
