//! Likelihoods p(x|z): what the decoder describes.
//!
//! The decoder puts out one or more numbers for each dimension of the data, those of a dimension one after the other. Most
//! likelihoods are the epilogue of its last product, so that these numbers are never stored; one that needs many of them at a
//! time, or much code, stores the product and has a kernel of its own. Adding one takes a WGSL file, its twin in this folder,
//! and a variant of [`Likelihood`].

pub(crate) mod bernoulli;
pub(crate) mod beta_binomial;
pub(crate) mod categorical;
mod config;
pub(crate) mod discretised_logistic;
pub(crate) mod gaussian;
pub(crate) mod gaussian_predicted;
mod pixels;
mod support;

pub(crate) use pixels::show;

pub use config::LikelihoodConfig;
pub use pixels::Pixels;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Tensor};
use crate::nn::Epilogue;

/// The likelihood of the data given the latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// Each pixel is 1 with a probability of its own; grey pixels are allowed, though they have no likelihood then.
    #[default]
    Bernoulli,
    /// Normal, with one variance for all pixels, learned; --variance is where it starts.
    Gaussian,
    /// Normal, with the variance held at --variance.
    GaussianFixed,
    /// Normal, with a variance for each pixel's place, learned; --variance is where they start.
    GaussianPerDimension,
    /// Normal, with a variance that the decoder gives for each pixel, above 0.0001; it starts near --variance.
    GaussianPredicted,
    /// Logistic, rounded to the 256 levels of a byte; the decoder gives each pixel's mean and scale.
    DiscretisedLogistic,
    /// Beta-binomial over the 256 levels of a byte; the decoder gives each pixel's alpha and beta.
    BetaBinomial,
    /// A probability for each of --categories levels, from 0 to 1 in even steps.
    Categorical,
}

/// A likelihood for data of some size, with what it needs beside the decoder.
pub struct LikelihoodState {
    kind: Kind,
    dimensions: usize,
    outputs: usize,
}

/// The likelihoods that differ in their kernels.
enum Kind {
    Bernoulli,
    Gaussian { logvar: Tensor, is_learned: bool },
    GaussianPredicted { variance: f32 },
    DiscretisedLogistic,
    BetaBinomial { log_choose: Tensor },
    Categorical,
}

/// The name of the learned variance's parameter.
const LOGVAR: &str = "likelihood.logvar";

impl LikelihoodState {
    /// Makes what a model's likelihood needs beside the decoder.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(
        gpu: &Gpu,
        config: &LikelihoodConfig,
        parameters: &Arena,
        dimensions: usize,
    ) -> Result<LikelihoodState, Error> {
        let LikelihoodConfig { likelihood, variance, .. } = *config;
        let kind = match likelihood {
            Likelihood::Bernoulli => Kind::Bernoulli,
            Likelihood::Gaussian | Likelihood::GaussianPerDimension => {
                Kind::Gaussian { logvar: parameters.get(LOGVAR), is_learned: true }
            }
            Likelihood::GaussianFixed => {
                Kind::Gaussian { logvar: Tensor::from_values(gpu, 1, 1, &[variance.ln()])?, is_learned: false }
            }
            Likelihood::GaussianPredicted => Kind::GaussianPredicted { variance },
            Likelihood::DiscretisedLogistic => Kind::DiscretisedLogistic,
            Likelihood::BetaBinomial => Kind::BetaBinomial { log_choose: beta_binomial::log_choose(gpu)? },
            Likelihood::Categorical => Kind::Categorical,
        };
        let outputs = dimensions * config.outputs_per_dimension();
        Ok(LikelihoodState { kind, dimensions, outputs })
    }

    /// Columns of what the decoder puts out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Makes the tensor for the log probability of `rows` rows: each row's partial sums, in nats.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn log_prob_tensor(&self, gpu: &Gpu, rows: usize) -> Result<Tensor, Error> {
        Tensor::zeros(gpu, rows, self.partial_sums(gpu)?)
    }

    fn partial_sums(&self, gpu: &Gpu) -> Result<usize, Error> {
        Ok(match self.kind {
            Kind::BetaBinomial { .. } => self.outputs.div_ceil(4),
            Kind::Categorical => self.dimensions,
            _ => self.outputs.div_ceil(Epilogue::block(gpu)?),
        })
    }

    /// The epilogue of the decoder's last product, and the kernel after it if there is one:
    /// `log_prob[row] = log p(x[b] | z[row])`, in nats, as partial sums, and the gradient of the mean of `-log_prob` over all
    /// rows with respect to what the decoder puts out.
    ///
    /// # Shapes
    ///
    /// - `x`: `(B, D)`
    /// - `doutput`: `(B * samples, outputs)`
    /// - `log_prob`: as [`LikelihoodState::log_prob_tensor`] makes it
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the tensors do not fit each other.
    pub fn log_prob(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        samples: usize,
        x: &Tensor,
        doutput: &Tensor,
        log_prob: &Tensor,
    ) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let rows = samples * x.rows();
        let found = [x, doutput, log_prob].map(|tensor| (tensor.rows(), tensor.columns()));
        let expected = [(x.rows(), self.dimensions), (rows, self.outputs), (rows, self.partial_sums(gpu)?)];
        if found != expected {
            let [expected, found] = [expected, found].map(|shapes| format!("{shapes:?}"));
            return Err(Error::Shape { operation: "log_prob", expected, found });
        }
        Ok(match &self.kind {
            Kind::Bernoulli => (bernoulli::log_prob(x, doutput, log_prob), None),
            Kind::Gaussian { logvar, .. } => (gaussian::log_prob(x, logvar, doutput, log_prob), None),
            Kind::GaussianPredicted { variance } => {
                (gaussian_predicted::log_prob(*variance, x, doutput, log_prob), None)
            }
            Kind::DiscretisedLogistic => (discretised_logistic::log_prob(x, doutput, log_prob), None),
            Kind::BetaBinomial { log_choose } => {
                let after = beta_binomial::log_prob(gpu, step, samples, (log_choose, x), doutput, log_prob)?;
                (Epilogue::store(doutput), Some(after))
            }
            Kind::Categorical => {
                let after = categorical::log_prob(gpu, step, samples, x, doutput, log_prob)?;
                (Epilogue::store(doutput), Some(after))
            }
        })
    }

    /// Records the gradients of the likelihood's own parameters, from what [`LikelihoodState::log_prob`] left, before the
    /// objective scales `doutput`.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernel cannot be made.
    pub fn backward(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        objective: (&Part, usize),
        gradients: &Arena,
        doutput: &Tensor,
        log_prob: &Tensor,
    ) -> Result<Option<Dispatch>, Error> {
        let Kind::Gaussian { logvar, is_learned: true } = &self.kind else {
            return Ok(None);
        };
        let dlogvar = gradients.get(LOGVAR);
        gaussian::backward_logvar(gpu, step, objective, logvar, (doutput, log_prob), &dlogvar).map(Some)
    }

    /// The epilogue of the decoder's last product, and the kernel after it if there is one, that make pixels: the mean of
    /// p(x|z), or a draw from it. The kernel finds the product in `outputs`.
    ///
    /// # Shapes
    ///
    /// - `outputs`: `(B * samples, outputs)`
    /// - `result`: `(B * samples, D)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the rows differ.
    pub fn pixels(
        &self,
        gpu: &Gpu,
        step: &Tensor,
        samples: usize,
        pixels: Pixels,
        outputs: &Tensor,
        result: &Tensor,
    ) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let categories = self.outputs / self.dimensions;
        let is_mean = pixels == Pixels::Mean;
        let either = |mean: fn() -> Part, draw: fn() -> Part| if is_mean { mean() } else { draw() };
        let part = match &self.kind {
            Kind::Bernoulli if is_mean => return Ok((bernoulli::mean(result), None)),
            Kind::Bernoulli => bernoulli::draw(),
            // What the decoder puts out is the mean.
            Kind::Gaussian { .. } if is_mean => return Ok((Epilogue::store(result), None)),
            Kind::Gaussian { logvar, .. } => gaussian::draw(logvar, self.dimensions),
            Kind::GaussianPredicted { .. } if is_mean => gaussian_predicted::mean(),
            Kind::GaussianPredicted { variance } => gaussian_predicted::draw(*variance),
            Kind::DiscretisedLogistic => either(discretised_logistic::mean, discretised_logistic::draw),
            Kind::BetaBinomial { .. } => either(beta_binomial::mean, beta_binomial::draw),
            Kind::Categorical if is_mean => categorical::mean(categories),
            Kind::Categorical => categorical::draw(categories),
        };
        let show = show(gpu, step, samples, (pixels, &part), outputs, result)?;
        Ok((Epilogue::store(outputs), Some(show)))
    }
}
