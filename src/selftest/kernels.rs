//! How each kernel is checked: what it is given, what it should make of it, and within what error.

mod activation;
mod adam;
mod dense;
mod latents;
mod likelihood;
mod mixture;
mod objective;
mod step;

use super::bench::Bench;
use crate::Error;

/// Puts a kernel on the bench and reports the outcome.
pub(super) type Check = fn(&mut Bench<'_>) -> Result<(), Error>;

/// Every entry point of every WGSL file, and every epilogue. A new one gets a row here and its formula in `reference`.
pub(super) const KERNELS: [(&str, Check); 28] = [
    ("data/batch.wgsl", step::gather),
    ("nn/dense:forward", dense::forward),
    ("nn/dense:backward", dense::backward),
    ("nn/dense:backward_weight", dense::backward_weight),
    ("nn/activation.wgsl", activation::forward),
    ("nn/activation/backward.wgsl", activation::backward),
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
    ("eval/importance.wgsl:accumulate", objective::accumulate),
    ("optim/adam.wgsl:update", adam::update),
    ("metrics.wgsl:finish", step::metrics),
    ("peak.wgsl:multiply_add", step::peak),
];
