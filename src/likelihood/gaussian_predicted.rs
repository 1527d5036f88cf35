//! The Gaussian likelihood whose variances the decoder puts out, pixel by pixel. The twin of
//! `shaders/likelihood/gaussian_predicted.wgsl` and of the files below it.

use crate::gpu::{Part, Source, Tensor, source};
use crate::nn::Epilogue;

const LOG_PROB: Source = source!("likelihood/gaussian_predicted.wgsl");
const MEAN: Source = source!("likelihood/gaussian_predicted/mean.wgsl");
const DRAW: Source = source!("likelihood/gaussian_predicted/draw.wgsl");

/// What the variance stays above: a pixel that never changes would else drive the density to infinity.
pub const VARIANCE_FLOOR: f64 = 1e-4;

/// The floor of the log variance, and what is added to the decoder's number so that 0 gives `variance`.
///
/// `logvar = floor + softplus(raw + shift)`
fn overrides(variance: f32) -> [(&'static str, f64); 2] {
    let shift = (f64::from(variance) / VARIANCE_FLOOR - 1.0).ln();
    [("LOGVAR_FLOOR", VARIANCE_FLOOR.ln()), ("SHIFT", shift)]
}

/// The log density, constants included, and its gradients, of the product that makes the mean and a number `raw` of each
/// dimension.
///
/// `log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`, in nats, with
/// `logvar = log(1e-4) + softplus(raw + shift)`, which is `log(variance)` where `raw` is 0.
///
/// # Shapes
///
/// - `x`: `(B, D)`
/// - `doutput`: `(B * samples, 2D)`: of the mean, of `raw`, and so on; of the mean of `-log_prob` over the batch
/// - `log_prob`: `(B * samples, blocks of 2D)`, each block's share of the sum
pub fn log_prob(variance: f32, x: &Tensor, doutput: &Tensor, log_prob: &Tensor) -> Epilogue {
    let mut overrides = overrides(variance).to_vec();
    overrides.extend([("D", x.columns() as f64), ("LOG_PROB_STRIDE", log_prob.stride() as f64)]);
    let tensors = [("x", x), ("doutput", doutput), ("log_prob", log_prob)];
    Epilogue::new(LOG_PROB, [doutput.rows(), doutput.columns()], &overrides, &tensors)
}

/// What fills the slot `pixel` for the mean.
pub fn mean() -> Part {
    Part::new(MEAN, &[], &[])
}

/// What fills the slot `pixel` for a draw: `mean + exp(logvar / 2) * noise`.
pub fn draw(variance: f32) -> Part {
    Part::new(DRAW, &overrides(variance), &[])
}
