//! The beta-binomial likelihood over the 256 levels of a byte. The twin of `shaders/likelihood/beta_binomial.wgsl` and of the
//! files below it.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};

const LOG_PROB: Source = source!("likelihood/beta_binomial.wgsl");
const MEAN: Source = source!("likelihood/beta_binomial/mean.wgsl");
const DRAW: Source = source!("likelihood/beta_binomial/draw.wgsl");

/// The highest level.
const HIGHEST: usize = 255;

/// Makes the table `log choose(255, k)`, `(256)`.
///
/// # Errors
///
/// As [`Tensor::zeros`].
pub fn log_choose(gpu: &Gpu) -> Result<Tensor, Error> {
    // The sum of log i up to each k, from 0 on.
    let mut log_factorials = vec![0.0];
    for i in 1..=HIGHEST {
        log_factorials.push(log_factorials[i - 1] + (i as f64).ln());
    }
    let log_choose = |k: usize| (log_factorials[HIGHEST] - log_factorials[k] - log_factorials[HIGHEST - k]) as f32;
    Tensor::from_values(gpu, 1, HIGHEST + 1, &(0..=HIGHEST).map(log_choose).collect::<Vec<_>>())
}

/// Records the log probability and its gradients, which take the place of the product.
///
/// `log_prob[b] = sum_d log(choose(255, k) * B(k + alpha, 255 - k + beta) / B(alpha, beta))`, in nats, for `k = 255 x` and the
/// beta function `B`; the logarithms of alpha and beta are held between -7 and 7.
///
/// # Shapes
///
/// - `log_choose`: `(256)`, from [`log_choose`]
/// - `x`: `(B, D)`, levels k/255
/// - `output`: `(B * samples, 2D)`: log alpha, log beta, and so on; then the gradient of the mean of `-log_prob`
/// - `log_prob`: `(B * samples, quads of 2D)`, each quad's share of the sum
///
/// # Errors
///
/// [`Error::Shader`] if the kernel cannot be made.
///
/// # Source
///
/// Townsend et al. 2019, "Practical lossless compression with latent variables using bits back coding", section 3.2.
pub fn log_prob(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    (log_choose, x): (&Tensor, &Tensor),
    output: &Tensor,
    log_prob: &Tensor,
) -> Result<Dispatch, Error> {
    let overrides =
        [("D", x.columns() as f64), ("LOG_PROB_STRIDE", log_prob.stride() as f64), ("SAMPLES", samples as f64)];
    let tensors = [("step", step), ("x", x), ("log_choose", log_choose), ("output", output), ("log_prob", log_prob)];
    let kernel = gpu.kernel(&LOG_PROB, "evaluate", &overrides)?;
    Dispatch::new(gpu, &kernel, &tensors, [output.stride() / 4, output.rows(), 1])
}

/// What fills the slot `pixel` for the mean: `alpha / (alpha + beta)`.
pub fn mean() -> Part {
    Part::new(MEAN, &[], &[])
}

/// What fills the slot `pixel` for a draw, by Polya's urn.
pub fn draw() -> Part {
    Part::new(DRAW, &[], &[])
}
