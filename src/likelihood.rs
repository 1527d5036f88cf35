//! Likelihoods p(x|z): what the decoder describes.
//!
//! Adding one takes a WGSL file, its twin in this folder, and a variant of [`Likelihood`].

pub mod bernoulli;
pub mod gaussian;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{Init, ParameterSpec};

/// The likelihood of the data given the latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// Each pixel is 1 with a probability of its own; grey pixels are allowed.
    #[default]
    Bernoulli,
    /// Normal, with one variance for all pixels, learned; --variance is where it starts.
    Gaussian,
    /// Normal, with the variance held at --variance.
    GaussianFixed,
}

/// The tensors that a likelihood works on, for one batch.
pub struct LikelihoodTensors<'a> {
    /// The data, `(B, D)`.
    pub x: &'a Tensor,
    /// What the decoder puts out, `(B, D)`.
    pub output: &'a Tensor,
    /// The log probability of each example, `(B)`, in nats.
    pub log_prob: &'a Tensor,
}

/// A likelihood's own state: nothing for Bernoulli, the variance for Gaussian.
pub struct LikelihoodState {
    logvar: Option<Tensor>,
    squared_error: Option<Tensor>,
}

/// The name of the learned variance's parameter.
const LOGVAR: &str = "likelihood.logvar";

impl Likelihood {
    /// The parameters beside the decoder's, if any.
    pub fn parameters(self, variance: f32) -> Option<ParameterSpec> {
        let init = Init::Constant(variance.ln());
        (self == Likelihood::Gaussian).then(|| ParameterSpec { name: LOGVAR.to_owned(), rows: None, columns: 1, init })
    }

    /// Makes what the likelihood needs for batches of up to `batch` rows.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn state(self, gpu: &Gpu, parameters: &Arena, batch: usize, variance: f32) -> Result<LikelihoodState, Error> {
        let logvar = match self {
            Likelihood::Bernoulli => return Ok(LikelihoodState { logvar: None, squared_error: None }),
            Likelihood::Gaussian => parameters.get(LOGVAR),
            Likelihood::GaussianFixed => Tensor::from_values(gpu, 1, 1, &[variance.ln()])?,
        };
        Ok(LikelihoodState { logvar: Some(logvar), squared_error: Some(Tensor::zeros(gpu, 1, batch)?) })
    }

    /// Records the log probability of each example: `log_prob[b] = log p(x[b] | z[b])`, in nats.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors do not fit each other.
    pub fn log_prob(
        self,
        gpu: &Gpu,
        step: &Tensor,
        state: &LikelihoodState,
        tensors: &LikelihoodTensors<'_>,
    ) -> Result<Dispatch, Error> {
        let &LikelihoodTensors { x, output, log_prob } = tensors;
        match (&state.logvar, &state.squared_error) {
            (Some(logvar), Some(squared_error)) => {
                gaussian::log_prob(gpu, step, x, output, logvar, squared_error, log_prob)
            }
            _ => bernoulli::log_prob(gpu, step, x, output, log_prob),
        }
    }

    /// Records the gradient of the mean of `-log_prob` over the batch, with respect to the decoder's output and to
    /// the likelihood's own parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors do not fit each other.
    pub fn backward(
        self,
        gpu: &Gpu,
        step: &Tensor,
        state: &LikelihoodState,
        gradients: &Arena,
        tensors: &LikelihoodTensors<'_>,
        doutput: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        let &LikelihoodTensors { x, output, .. } = tensors;
        let (Some(logvar), Some(squared_error)) = (&state.logvar, &state.squared_error) else {
            return Ok(vec![bernoulli::backward(gpu, step, x, output, doutput)?]);
        };
        let mut dispatches = vec![gaussian::backward(gpu, step, x, output, logvar, doutput)?];
        if self == Likelihood::Gaussian {
            let dlogvar = gradients.get(LOGVAR);
            let dimensions = x.columns();
            dispatches.push(gaussian::backward_logvar(gpu, step, dimensions, logvar, squared_error, &dlogvar)?);
        }
        Ok(dispatches)
    }

    /// Records the mean of p(x|z), `(B, D)`, from what the decoder puts out.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    pub fn mean(self, gpu: &Gpu, step: &Tensor, output: &Tensor, mean: &Tensor) -> Result<Dispatch, Error> {
        match self {
            Likelihood::Bernoulli => bernoulli::mean(gpu, step, output, mean),
            Likelihood::Gaussian | Likelihood::GaussianFixed => gaussian::mean(gpu, step, output, mean),
        }
    }
}

/// Checks that matrices have the same shape, and that a vector has one element a row of them.
fn check(operation: &'static str, matrices: [&Tensor; 2], vector: Option<&Tensor>) -> Result<(), Error> {
    let [first, second] = matrices;
    let fits = (first.rows(), first.columns()) == (second.rows(), second.columns())
        && vector.is_none_or(|vector| vector.columns() == first.rows());
    if fits {
        return Ok(());
    }
    let mut found = format!("({}, {}) and ({}, {})", first.rows(), first.columns(), second.rows(), second.columns());
    let mut expected = "(B, D) and (B, D)".to_owned();
    if let Some(vector) = vector {
        expected += ", with (B)";
        found += &format!(", with ({})", vector.columns());
    }
    Err(Error::Shape { operation, expected, found })
}
