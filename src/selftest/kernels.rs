//! How each kernel is checked: what it is given, what it should make of it, and within what error.

mod activation;
mod adam;
mod dense;
mod latents;
mod likelihood;
mod step;

use super::bench::Bench;
use crate::Error;

/// Puts a kernel on the bench and reports the outcome.
pub(super) type Check = fn(&mut Bench<'_>) -> Result<(), Error>;

/// Every entry point of every WGSL file. A new kernel gets a row here and its formula in `reference`.
pub(super) const KERNELS: [(&str, Check); 20] = [
    ("data/batch.wgsl:gather", step::gather),
    ("nn/dense.wgsl:forward", dense::forward),
    ("nn/dense.wgsl:backward_input", dense::backward_input),
    ("nn/dense.wgsl:backward_weight", dense::backward_weight),
    ("nn/activation.wgsl:forward", activation::forward),
    ("nn/activation.wgsl:backward", activation::backward),
    ("posterior/normal.wgsl:reparameterise", latents::reparameterise),
    ("posterior/normal.wgsl:reparameterise_backward", latents::reparameterise_backward),
    ("prior/standard_normal.wgsl:forward", latents::kl),
    ("prior/standard_normal.wgsl:backward", latents::kl_backward),
    ("prior/standard_normal.wgsl:sample", latents::sample),
    ("likelihood/bernoulli.wgsl:forward", likelihood::bernoulli_forward),
    ("likelihood/bernoulli.wgsl:backward", likelihood::bernoulli_backward),
    ("likelihood/bernoulli.wgsl:decode_mean", likelihood::bernoulli_decode_mean),
    ("likelihood/gaussian.wgsl:forward", likelihood::gaussian_forward),
    ("likelihood/gaussian.wgsl:backward", likelihood::gaussian_backward),
    ("likelihood/gaussian.wgsl:backward_logvar", likelihood::gaussian_backward_logvar),
    ("likelihood/gaussian.wgsl:decode_mean", likelihood::gaussian_decode_mean),
    ("optim/adam.wgsl:update", adam::update),
    ("metrics.wgsl:finish", step::metrics),
];
