//! Likelihoods p(x|z): what the decoder describes.
//!
//! A likelihood is the epilogue of the decoder's last product, so that what the decoder puts out is never stored. Adding one
//! takes a WGSL file, its twin in this folder, and a variant of [`Likelihood`].

pub(crate) mod bernoulli;
pub(crate) mod gaussian;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::data::{Binarize, Images};
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{Epilogue, Init, ParameterSpec};

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

/// A likelihood's own state: nothing for Bernoulli, the logarithm of the variance for Gaussian.
pub struct LikelihoodState {
    logvar: Option<Tensor>,
}

/// The name of the learned variance's parameter.
const LOGVAR: &str = "likelihood.logvar";

impl Likelihood {
    /// The parameters beside the decoder's, if any.
    pub fn parameters(self, variance: f32) -> Option<ParameterSpec> {
        let init = Init::Constant(variance.ln());
        (self == Likelihood::Gaussian).then(|| ParameterSpec { name: LOGVAR.to_owned(), rows: None, columns: 1, init })
    }

    /// Whether it is a likelihood of discrete data, whose probabilities add up to 1, and not a density.
    pub fn is_discrete(self) -> bool {
        self == Likelihood::Bernoulli
    }

    /// Whether its value is the likelihood of such images at all: not that of Bernoulli on grey pixels.
    pub fn is_log_likelihood_of(self, images: &Images, binarize: Binarize) -> bool {
        let is_binary = |pixel: f32| pixel == 0.0 || pixel == 1.0;
        self != Likelihood::Bernoulli || binarize != Binarize::None || images.pixels().all(is_binary)
    }

    /// Makes what the likelihood needs beside the decoder.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn state(self, gpu: &Gpu, parameters: &Arena, variance: f32) -> Result<LikelihoodState, Error> {
        let logvar = match self {
            Likelihood::Bernoulli => None,
            Likelihood::Gaussian => Some(parameters.get(LOGVAR)),
            Likelihood::GaussianFixed => Some(Tensor::from_values(gpu, 1, 1, &[variance.ln()])?),
        };
        Ok(LikelihoodState { logvar })
    }

    /// Makes the tensor for the log probability of `batch` examples of `dimensions`: `(B, blocks of D)`, in nats.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn log_prob_tensor(gpu: &Gpu, batch: usize, dimensions: usize) -> Result<Tensor, Error> {
        Tensor::zeros(gpu, batch, dimensions.div_ceil(Epilogue::block(gpu)?))
    }

    /// The epilogue of the decoder's last product: `log_prob[b] = log p(x[b] | z[b])`, in nats, as partial sums over blocks
    /// of dimensions, and the gradient of the mean of `-log_prob` over the batch with respect to what the decoder puts out.
    ///
    /// # Shapes
    ///
    /// - `x`: `(B, D)`
    /// - `doutput`: `(B * samples, D)`
    /// - `log_prob`: as [`Likelihood::log_prob_tensor`] makes it
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors do not fit each other.
    pub fn log_prob(
        self,
        gpu: &Gpu,
        state: &LikelihoodState,
        samples: usize,
        x: &Tensor,
        doutput: &Tensor,
        log_prob: &Tensor,
    ) -> Result<Epilogue, Error> {
        let [x_shape, doutput_shape, log_prob_shape] =
            [x, doutput, log_prob].map(|tensor| (tensor.rows(), tensor.columns()));
        let (rows, columns) = (samples * x.rows(), x.columns());
        let blocks = columns.div_ceil(Epilogue::block(gpu)?);
        if (doutput_shape, log_prob_shape) != ((rows, columns), (rows, blocks)) {
            return Err(Error::Shape {
                operation: "log_prob",
                expected: format!("({}, {columns}), ({rows}, {columns}) and ({rows}, {blocks})", x.rows()),
                found: format!("{x_shape:?}, {doutput_shape:?} and {log_prob_shape:?}"),
            });
        }
        Ok(match &state.logvar {
            None => bernoulli::log_prob(x, doutput, log_prob),
            Some(logvar) => gaussian::log_prob(x, logvar, doutput, log_prob),
        })
    }

    /// Records the gradients of the likelihood's own parameters, from what the epilogue [`Likelihood::log_prob`] left.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernel cannot be made.
    pub fn backward(
        self,
        gpu: &Gpu,
        step: &Tensor,
        state: &LikelihoodState,
        gradients: &Arena,
        dimensions: usize,
        log_prob: &Tensor,
    ) -> Result<Option<Dispatch>, Error> {
        let Some(logvar) = state.logvar.as_ref().filter(|_| self == Likelihood::Gaussian) else {
            return Ok(None);
        };
        let dlogvar = gradients.get(LOGVAR);
        gaussian::backward_logvar(gpu, step, dimensions, logvar, log_prob, &dlogvar).map(Some)
    }

    /// The epilogue of the decoder's last product that makes the mean of p(x|z), `(B, D)`.
    pub fn mean(self, mean: &Tensor) -> Epilogue {
        match self {
            Likelihood::Bernoulli => bernoulli::mean(mean),
            // What the decoder puts out is the mean.
            Likelihood::Gaussian | Likelihood::GaussianFixed => Epilogue::store(mean),
        }
    }
}
