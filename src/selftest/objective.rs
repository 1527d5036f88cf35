//! The self-test of `shaders/objective/`, and the parts in the slot `objective`, as the kernels with that slot see
//! them.

mod elbo;
pub mod penalised;
pub mod weighted;

use super::bench::{Bench, Output, poisoned};
use super::{Checks, Matrix};
use crate::Error;
use crate::gpu::{Part, Tensor};

pub(super) const CHECKS: &[Checks] = &[penalised::CHECKS, weighted::CHECKS];

/// The part in the slot `objective`, and the weights that it gives.
pub(super) struct Given {
    pub name: &'static str,
    pub part: Part,
    /// Whether the posterior's gradient is the doubly reparameterised one.
    pub is_doubly: bool,
    /// The weight of each row's log probability, and, times that of the latent, of its KL divergence.
    pub row_weights: Vec<f64>,
    /// The weight of each latent's KL divergence.
    latent_weights: Vec<f64>,
    /// The weight of each row in the doubly reparameterised gradient, for objectives that have importance weights.
    pub draw_weights: Vec<f64>,
    pub loss: Loss,
}

/// How the loss, summed over the batch, follows from the sums of log_prob and kl over the batch.
pub(super) enum Loss {
    /// `kl_weight * kl - log_prob`.
    Elbo,
    /// A constant minus log_prob.
    Penalised(f64),
    /// A constant.
    Stored(f64),
}

impl Given {
    /// The weight of a row's KL divergence in a latent.
    pub fn kl_weight(&self, row: usize, latent: usize) -> f64 {
        self.row_weights[row] * self.latent_weights[latent]
    }
}

/// All objectives, with tensors of their own, which have weights of all sizes.
pub(super) fn objectives(bench: &mut Bench<'_>, samples: usize) -> Result<[Given; 4], Error> {
    let elbo = elbo::given(bench, samples);
    let penalised = penalised::given(bench, samples)?;
    let [weighted, doubly] = weighted::given(bench, samples)?;
    Ok([elbo, penalised, weighted, doubly])
}

/// The weight of each row if all have the same.
fn alike(bench: &Bench<'_>, samples: usize) -> Vec<f64> {
    let rows = bench.sizes.rows * samples;
    vec![1.0 / rows as f64; rows]
}

/// Draws weights and writes them to a vector.
fn weights(bench: &mut Bench<'_>, vector: &Tensor) -> Result<Vec<f64>, Error> {
    let values: Vec<f32> = (0..vector.columns()).map(|_| bench.draw().abs()).collect();
    vector.write(bench.gpu, &values)?;
    Ok(values.into_iter().map(f64::from).collect())
}

/// A vector without any right word yet.
fn vector(bench: &Bench<'_>, length: usize) -> Result<Tensor, Error> {
    poisoned(bench.gpu, Tensor::zeros(bench.gpu, 1, length)?)
}

/// The expected first elements of a vector; the others must be unchanged.
fn output(name: &'static str, tensor: &Tensor, values: Vec<f64>, errors: Vec<f64>) -> Output {
    Output::unpadded(name, tensor, &Matrix::vector(values), &Matrix::vector(errors))
}
