//! The Gaussian likelihood with a variance of its own, learned or fixed: one in all, or one for each dimension. The twin of
//! `shaders/likelihood/gaussian.wgsl` and of the files below it.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::nn::Epilogue;

const LOG_PROB: Source = source!("likelihood/gaussian.wgsl");
const LOGVAR: Source = source!("likelihood/gaussian/logvar.wgsl");
const PER_DIMENSION: Source = source!("likelihood/gaussian/per_dimension.wgsl");
const PER_DIMENSION_LOGVAR: Source = source!("likelihood/gaussian/per_dimension/logvar.wgsl");
const DRAW: Source = source!("likelihood/gaussian/draw.wgsl");

/// Whether a log variance is for each of `dimensions` dimensions, and not one for all.
fn is_per_dimension(logvar: &Tensor, dimensions: usize) -> bool {
    logvar.columns() == dimensions && dimensions > 1
}

/// The log density, constants included, and its gradient, of the product that makes the mean.
///
/// `log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`, in nats, and
/// `dmean = (mean - x) * exp(-logvar) / rows`, the gradient of the mean of `-log_prob` over the batch.
///
/// # Shapes
///
/// - `x`: `(B, D)`
/// - `dmean`: `(B * samples, D)`
/// - `logvar`: `(1)` or `(D)`
/// - `log_prob`: `(B * samples, blocks of D)`, each block's share of the sum
pub fn log_prob(x: &Tensor, logvar: &Tensor, dmean: &Tensor, log_prob: &Tensor) -> Epilogue {
    let dimensions = x.columns();
    let source = if is_per_dimension(logvar, dimensions) { PER_DIMENSION } else { LOG_PROB };
    let overrides = [("D", dimensions as f64), ("LOG_PROB_STRIDE", log_prob.stride() as f64)];
    let tensors = [("x", x), ("logvar", logvar), ("dmean", dmean), ("log_prob", log_prob)];
    Epilogue::new(source, [log_prob.rows(), dimensions], &overrides, &tensors)
}

/// Records the gradient of the loss with respect to the log variance, after [`log_prob`] and before the objective scales
/// `dmean`.
///
/// `dlogvar[d] = 1/2 * sum_row w[row] * (1 - (x - mean)^2 * exp(-logvar[d]))`, summed over the dimensions where one is for
/// all, with the weight `w` that the objective gives to the row.
///
/// # Shapes
///
/// - `logvar`, `dlogvar`: `(1)` or `(D)`
/// - `dmean`: `(B * samples, D)`
/// - `log_prob`: `(B * samples, blocks of D)`
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
pub fn backward_logvar(
    gpu: &Gpu,
    step: &Tensor,
    (objective, samples): (&Part, usize),
    logvar: &Tensor,
    (dmean, log_prob): (&Tensor, &Tensor),
    dlogvar: &Tensor,
) -> Result<Dispatch, Error> {
    let dimensions = dmean.columns();
    let (parts, samples) = ([("objective", objective)], ("SAMPLES", samples as f64));
    let mut overrides = vec![("D", dimensions as f64), samples];
    let mut tensors = vec![("step", step), ("logvar", logvar), ("dlogvar", dlogvar)];
    if is_per_dimension(logvar, dimensions) {
        tensors.push(("dmean", dmean));
        let kernel = (&PER_DIMENSION_LOGVAR, "backward");
        // A workgroup for each quad of dimensions.
        let shader = gpu.shader(&PER_DIMENSION_LOGVAR.with("objective", objective.source()))?;
        let threads = dimensions.div_ceil(4) * shader.constant("REDUCE_SIZE")? as usize;
        return Dispatch::with_parts(gpu, kernel, &overrides, &tensors, &parts, [threads, 1, 1]);
    }
    overrides.push(("LOG_PROB_QUADS", (log_prob.stride() / 4) as f64));
    tensors.push(("log_prob", log_prob));
    Dispatch::with_parts(gpu, (&LOGVAR, "backward"), &overrides, &tensors, &parts, [1, 1, 1])
}

/// What fills the slot `pixel` for a draw: `mean + exp(logvar / 2) * noise`.
///
/// # Shapes
///
/// - `logvar`: `(1)` or `(D)`
pub fn draw(logvar: &Tensor, dimensions: usize) -> Part {
    let step = f64::from(u8::from(is_per_dimension(logvar, dimensions)));
    Part::new(DRAW, &[("LOGVAR_STEP", step)], &[("logvar", logvar)])
}
