//! Likelihoods p(x|z): the distributions that the decoder describes.
//!
//! The decoder outputs one or more numbers for each dimension of the data. The numbers of a dimension are adjacent.
//! Most likelihoods are the epilogue of its last product, so that these numbers are never stored. A likelihood that
//! needs many of them at a time, or much code, stores the product and has a kernel of its own.
//!
//! A likelihood is an implementation of [`Density`] in a file of its own, with its WGSL files at the same path. To add one,
//! write these, and add a variant to [`Likelihood`] and an arm to [`LikelihoodConfig::density`].

pub(crate) mod bernoulli;
pub(crate) mod beta_binomial;
pub(crate) mod categorical;
pub(crate) mod discretised_logistic;
pub(crate) mod gaussian;
pub(crate) mod gaussian_predicted;
mod gradient;
mod levels;
mod pixels;
mod support;
pub mod tokens;

pub use levels::Levels;
pub use pixels::Pixels;
pub use pixels::show;
pub(crate) use support::BYTE_LEVELS;
pub use support::Support;

use std::fmt::Debug;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::data::{Binarize, Images};
use crate::error::{require, require_shapes};
use crate::gpu::{Arena, Dispatch, Gpu, Part, Tensor};
use crate::graph::{Graph, Value};
use crate::nn::{Epilogue, ParameterSpec, Recording};
use crate::step::At;
use bernoulli::Bernoulli;
use beta_binomial::BetaBinomial;
use categorical::Categorical;
use discretised_logistic::DiscretisedLogistic;
use gaussian::{Gaussian, Variance};
use gaussian_predicted::{GaussianPredicted, VARIANCE_FLOOR};

/// The likelihood of the data given the latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// Each pixel is 1 with its own probability; grey pixels are allowed, but then the value is not a likelihood.
    #[default]
    Bernoulli,
    /// Normal, with one learned variance for all pixels, which starts at --variance.
    Gaussian,
    /// Normal, with the fixed variance --variance.
    GaussianFixed,
    /// Normal, with a learned variance for each pixel position, which starts at --variance.
    GaussianPerDimension,
    /// Normal, with a variance for each pixel that the decoder outputs, above 0.0001; it starts near --variance.
    GaussianPredicted,
    /// Logistic, rounded to the 256 levels of a byte; the decoder outputs each pixel's mean and scale.
    DiscretisedLogistic,
    /// Beta-binomial over the 256 levels of a byte; the decoder outputs each pixel's alpha and beta.
    BetaBinomial,
    /// A probability for each of --categories levels, evenly spaced from 0 to 1.
    Categorical,
}

/// The likelihood and its settings.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct LikelihoodConfig {
    /// The likelihood p(x|z) of the data
    #[arg(id = "likelihood", long, value_enum, default_value_t, help_heading = "Data and model")]
    #[serde(rename = "likelihood", default)]
    pub kind: Likelihood,
    /// Variance of the Gaussian likelihoods: fixed, or the initial value
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.1,
        allow_negative_numbers = true,
        help_heading = "Data and model"
    )]
    pub variance: f32,
    /// Levels of a pixel with --likelihood categorical: 2 for binarised images, 256 for bytes
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Data and model")]
    #[serde(default = "default_categories")]
    pub categories: usize,
}

impl Default for LikelihoodConfig {
    fn default() -> LikelihoodConfig {
        LikelihoodConfig { kind: Likelihood::default(), variance: 0.1, categories: default_categories() }
    }
}

fn default_categories() -> usize {
    2
}

impl LikelihoodConfig {
    /// The likelihood with its kernels: the only place that lists them all.
    pub fn density(&self) -> Box<dyn Density> {
        let LikelihoodConfig { kind, variance, categories } = *self;
        let gaussian = |kind| Box::new(Gaussian { variance, kind });
        match kind {
            Likelihood::Bernoulli => Box::new(Bernoulli),
            Likelihood::Gaussian => gaussian(Variance::Shared),
            Likelihood::GaussianFixed => gaussian(Variance::Fixed),
            Likelihood::GaussianPerDimension => gaussian(Variance::PerDimension),
            Likelihood::GaussianPredicted => Box::new(GaussianPredicted { variance }),
            Likelihood::DiscretisedLogistic => Box::new(DiscretisedLogistic),
            Likelihood::BetaBinomial => Box::new(BetaBinomial),
            Likelihood::Categorical => Box::new(Categorical { categories }),
        }
    }

    /// Checks the settings of likelihoods.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let LikelihoodConfig { kind, variance, categories } = *self;
        let normal = variance.is_normal() && variance > 0.0;
        require("--variance", normal, "a finite number above 0", variance)?;
        let fits = f64::from(variance) > VARIANCE_FLOOR || kind != Likelihood::GaussianPredicted;
        require("--variance", fits, "a number above 0.0001 with --likelihood gaussian-predicted", variance)?;
        let levels = 2..=BYTE_LEVELS;
        require("--categories", levels.contains(&categories), "a number from 2 to 256", categories)
    }

    /// Whether the likelihood is a probability, not a density. The ELBO is then below 0, and `-elbo` is the length of a
    /// code for the data.
    pub fn is_discrete(&self) -> bool {
        self.density().is_discrete()
    }

    /// Whether the value is a log likelihood for these images, as the model sees them: not for grey pixels with
    /// [`Likelihood::Bernoulli`].
    pub fn is_log_likelihood_of(&self, images: &Images, binarize: Binarize) -> bool {
        self.density().is_log_likelihood_of(images, binarize)
    }
}

/// The tensors of a likelihood for one batch.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The data, `(B, D)`.
    pub x: &'a Tensor,
    /// The decoder's outputs if they are stored, later the gradient with respect to them,
    /// `(B * samples, D * outputs_per_dimension)`.
    pub output: &'a Tensor,
    /// The log probability as partial sums, `(B * samples, partial_sums)`, in nats.
    pub log_prob: &'a Tensor,
    /// Whether a backward pass follows, which needs the gradient.
    pub trains: bool,
}

/// A likelihood as kernels.
pub trait Density: Debug {
    /// Numbers that the decoder outputs for each dimension.
    fn outputs_per_dimension(&self) -> usize {
        1
    }

    /// Its own parameter, apart from the decoder's, if there is one, for data of the given number of dimensions.
    fn parameter(&self, _dimensions: usize) -> Option<ParameterSpec> {
        None
    }

    /// The values that pixels may have.
    fn support(&self) -> Support;

    /// Says which pixels it describes, and what to do about others.
    fn expected(&self) -> String {
        self.support().expected()
    }

    /// As [`LikelihoodConfig::is_discrete`].
    fn is_discrete(&self) -> bool;

    /// The probability of each level of a dimension on the CPU, from the decoder's outputs for it, if there are levels. The bits
    /// are the same on every machine.
    fn levels(&self) -> Option<Box<dyn Levels>> {
        None
    }

    /// As [`LikelihoodConfig::is_log_likelihood_of`].
    fn is_log_likelihood_of(&self, _images: &Images, _binarize: Binarize) -> bool {
        true
    }

    /// Whether it stores the decoder's outputs even if no backward pass follows.
    fn stores_output(&self) -> bool {
        false
    }

    /// The number of partial sums of the log probability of a row.
    ///
    /// # Errors
    ///
    /// As [`Epilogue::block`].
    fn partial_sums(&self, gpu: &Gpu, dimensions: usize) -> Result<usize, Error> {
        Ok((dimensions * self.outputs_per_dimension()).div_ceil(Epilogue::block(gpu)?))
    }

    /// The epilogue of the decoder's last product, and the kernel after it if there is one:
    /// `log_prob[row] = log p(x[b] | z[row])`, as partial sums, and in `output` the gradient of the mean of `-log_prob` over
    /// all rows with respect to the decoder's outputs, if `terms.trains`.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if a kernel cannot be made.
    fn log_prob(&self, recording: Recording<'_>, terms: Terms<'_>) -> Result<(Epilogue, Option<Dispatch>), Error>;

    /// Records the gradient of the loss with respect to its own parameter, from the tensors that [`Density::log_prob`]
    /// wrote. It must run before the objective scales `output`.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernel cannot be made.
    fn backward(
        &self,
        _recording: Recording<'_>,
        _terms: Terms<'_>,
        _objective: &Part,
        _gradients: &Arena,
    ) -> Result<Option<Dispatch>, Error> {
        Ok(None)
    }

    /// The epilogue of the decoder's last product that writes the mean of p(x|z) to `mean`, `(B * samples, D)`, if the mean is
    /// a function of one output. Otherwise the outputs are stored, and [`show`] computes the mean.
    fn mean(&self, _mean: &Tensor) -> Option<Epilogue> {
        None
    }

    /// Adds the mean of p(x|z), a row of `D` values, to a graph, from the decoder's outputs for a batch.
    fn describe_mean(&self, graph: &mut Graph, outputs: Value) -> Value;

    /// The log probability in PyTorch, for a writer of modules: the lines of a function whose arguments are the parameters of the model,
    /// `parameter(name)`, the data `x`, `(B, D)`, and the decoder's `outputs`, `(B, D * outputs_per_dimension)`; it returns `(B)`.
    fn log_prob_in_pytorch(&self) -> String;

    /// The part for the slot `pixel` of `likelihood/pixels.wgsl`: the mean of p(x|z), and a draw from it.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if memory runs out.
    fn pixel(&self, recording: Recording<'_>) -> Result<Part, Error>;
}

impl Terms<'_> {
    /// Checks that the tensors fit each other and a likelihood.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if they do not.
    pub fn check(&self, at: At<'_>, density: &dyn Density) -> Result<(), Error> {
        let Terms { x, output, log_prob, trains } = *self;
        let (rows, dimensions) = (at.samples * x.rows(), x.columns());
        let stored = if trains || density.stores_output() { rows } else { output.rows() };
        let outputs = dimensions * density.outputs_per_dimension();
        let expected = [[stored, outputs], [rows, density.partial_sums(at.gpu, dimensions)?]];
        require_shapes("log_prob", expected, [output.shape(), log_prob.shape()])
    }
}
