//! Importance weights. The twin of `shaders/objective/weighted.wgsl` and of the files below it.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};

const PART: Source = source!("objective/weighted.wgsl");
const LOG_WEIGHTS: Source = source!("objective/weighted/log_weights.wgsl");
const WEIGHTS: Source = source!("objective/weighted/weights.wgsl");
const SCALE: Source = source!("objective/weighted/scale.wgsl");

/// What fills the slot `objective`, with the doubly reparameterised gradient or the standard one.
///
/// # Shapes
///
/// - `weights`: `(B * samples)`, each example's add up to 1
/// - `loss`: `(B)`
pub fn part(doubly: bool, weights: &Tensor, loss: &Tensor) -> Part {
    Part::new(PART, &[("DOUBLY", f64::from(u8::from(doubly)))], &[("weights", weights), ("loss", loss)])
}

/// Records the logarithm of each row's importance weight.
///
/// `log_weights[row] = log_prob[row] - kl_weight * kl[row]`, in nats
///
/// # Shapes
///
/// - `log_prob`: `(B * samples, blocks of D)`
/// - `kl`: `(B * samples, L)`, the sample estimate
/// - `log_weights`: `(B * samples)`
///
/// # Errors
///
/// [`Error::Shape`] if the rows differ.
///
/// # Source
///
/// Burda et al. 2016, equation 8.
pub fn log_weights(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    log_prob: &Tensor,
    kl: &Tensor,
    log_weights: &Tensor,
) -> Result<Dispatch, Error> {
    let rows = log_weights.columns();
    check(rows, log_prob.rows())?;
    check(rows, kl.rows())?;
    let quads = |tensor: &Tensor| (tensor.stride() / 4) as f64;
    let overrides = [("SAMPLES", samples as f64), ("LOG_PROB_QUADS", quads(log_prob)), ("KL_QUADS", quads(kl))];
    let kernel = gpu.kernel(&LOG_WEIGHTS, "add_up", &overrides)?;
    let tensors = [("step", step), ("log_prob", log_prob), ("kl", kl), ("log_weights", log_weights)];
    Dispatch::new(gpu, &kernel, &tensors, [rows, 1, 1])
}

/// Records each example's bound and each sample's share in it.
///
/// `loss[b] = -log(1/K sum_k exp(log_weights[b, k]))`, in nats;
/// `weights[b, k] = exp(log_weights[b, k]) / sum_k exp(log_weights[b, k])`
///
/// # Shapes
///
/// - `log_weights`, `weights`: `(B * samples)`
/// - `loss`: `(B)`
///
/// # Errors
///
/// [`Error::Shape`] if the lengths differ.
pub fn normalise(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    log_weights: &Tensor,
    weights: &Tensor,
    loss: &Tensor,
) -> Result<Dispatch, Error> {
    check(loss.columns() * samples, log_weights.columns())?;
    check(log_weights.columns(), weights.columns())?;
    let kernel = gpu.kernel(&WEIGHTS, "normalise", &[("SAMPLES", samples as f64)])?;
    let tensors = [("step", step), ("log_weights", log_weights), ("weights", weights), ("loss", loss)];
    Dispatch::new(gpu, &kernel, &tensors, [loss.columns(), 1, 1])
}

/// Records the scaling of the gradient that the likelihood left, which weighs all rows alike.
///
/// `doutput[row, o] *= samples * weights[row]`
///
/// # Shapes
///
/// - `weights`: `(B * samples)`
/// - `doutput`: `(B * samples, outputs)`
///
/// # Errors
///
/// [`Error::Shape`] if the rows differ.
pub fn scale(gpu: &Gpu, step: &Tensor, samples: usize, weights: &Tensor, doutput: &Tensor) -> Result<Dispatch, Error> {
    check(weights.columns(), doutput.rows())?;
    let quads = doutput.stride() / 4;
    let kernel = gpu.kernel(&SCALE, "scale", &[("SAMPLES", samples as f64), ("QUADS", quads as f64)])?;
    let tensors = [("step", step), ("weights", weights), ("doutput", doutput)];
    Dispatch::new(gpu, &kernel, &tensors, [quads, doutput.rows(), 1])
}

fn check(expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape {
        operation: "importance weights",
        expected: format!("{expected} rows"),
        found: found.to_string(),
    })
}
