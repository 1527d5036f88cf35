//! A model's tensors for one batch size, and the passes recorded over them.

mod bottleneck;
mod stacks;
mod text;

use super::Vae;
use crate::Error;
use crate::data::DataShape;
use crate::data::batch::DeviceExamples;
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::likelihood::Pixels;
use crate::nn::{Mode, Recording};
use crate::objective::{ObjectiveConfig, ObjectiveState};
use crate::posterior::{Draws, Reparameterised};
use crate::prior::{KlEstimate, PriorContext, PriorState};
use crate::step::metrics;
use crate::step::{At, Pass};
use stacks::Stacks;
pub(super) use text::Text;

/// Rows of a grid of positions that a workgroup processes, at least: those of the smallest tiles that large grids are given.
const ROWS_OF_WORKGROUP: usize = 32;

/// The values of a model for batches of up to `B` examples with `K` importance samples each, and, if it trains, the
/// tensors of a backward pass.
#[derive(Debug)]
pub struct Network {
    vae: Vae,
    ends: Ends,
    distribution: Box<dyn Reparameterised>,
    prior: Box<dyn PriorState>,
    objective: Box<dyn ObjectiveState>,
    samples: usize,
    gradients: Option<Gradients>,
    /// The encoder's output, `(B, outputs)`: the posterior's parameters.
    pub posterior: Tensor,
    /// The latents, `(B * K, L)`, the samples of an example one after the other.
    pub z: Tensor,
    /// The log probability of each sample, `(B * K, parts)`, in nats: each part's share of the sum over the dimensions.
    pub log_prob: Tensor,
    /// The KL divergence of each sample, `(B * K, L)`, in nats: each latent's share of the sum.
    pub kl: Tensor,
}

/// The encoder and the decoder, with their values, for one kind of data.
#[derive(Debug)]
enum Ends {
    /// Of images.
    Stacks(Box<Stacks>),
    /// Of sentences.
    Text(Box<Text>),
}

/// What a network is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Training,
    Evaluation,
    /// Text, position by position.
    Writing,
}

/// The tensors of a backward pass between the encoder and the decoder.
#[derive(Debug)]
struct Gradients {
    dposterior: Tensor,
    /// The gradient with respect to the latents, if it is not passed on to the posterior at once.
    dz: Option<Tensor>,
}

impl Network {
    /// Makes the tensors for training in batches of up to `batch` examples.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn training(vae: &Vae, batch: usize, objective: &ObjectiveConfig) -> Result<Network, Error> {
        Network::new(vae, batch, objective, Purpose::Training)
    }

    /// Makes the tensors for batches of up to `batch` examples, without those of a backward pass.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn evaluation(vae: &Vae, batch: usize, objective: &ObjectiveConfig) -> Result<Network, Error> {
        Network::new(vae, batch, objective, Purpose::Evaluation)
    }

    /// Makes the tensors of a model of text for one position of `rows` sentences at a time: the decoder's state goes on from one to
    /// the next.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub(super) fn of_one_position(vae: &Vae, rows: usize) -> Result<Network, Error> {
        Network::new(vae, rows, &ObjectiveConfig::default(), Purpose::Writing)
    }

    fn new(vae: &Vae, batch: usize, config: &ObjectiveConfig, purpose: Purpose) -> Result<Network, Error> {
        let trains = purpose == Purpose::Training;
        let Vae { gpu, model, parameters, .. } = vae;
        let (latents, samples) = (model.config.latents, config.samples);
        let rows = batch * samples;
        let posterior = &model.config.posterior;
        let distribution = posterior.distribution();
        let objective = config.state(gpu, batch, latents)?;
        let sampled = objective.needs_sampled_kl() || !model.config.prior.has_closed_form();
        let estimate = if sampled { KlEstimate::Sampled } else { config.kl };
        let z = Tensor::zeros(gpu, rows, latents)?;
        let (ends, encoder, parts) = match &model.data {
            DataShape::Image(image) => {
                let stacks = Stacks::new(vae, *image, batch, &z, trains)?;
                let (encoder, parts) = (Some(stacks.encoder.clone()), stacks.parts(gpu)?);
                (Ends::Stacks(Box::new(stacks)), encoder, parts)
            }
            DataShape::Text(shape) => {
                (Ends::Text(Box::new(Text::new(vae, shape, [batch, samples], purpose)?)), None, 1)
            }
        };
        let prior = model.config.prior.density();
        let encoder = encoder.as_ref();
        let prior =
            prior.state(PriorContext { gpu, parameters, encoder, posterior, latents, rows, estimate, trains })?;
        let fused = encoder.is_some() && samples == 1 && objective.is_plain() && estimate == KlEstimate::ClosedForm;
        let gradients = match trains {
            false => None,
            true => Some(Gradients {
                dposterior: Tensor::zeros(gpu, batch, distribution.outputs(latents))?,
                dz: if fused { None } else { Some(Tensor::zeros(gpu, rows, latents)?) },
            }),
        };
        Ok(Network {
            vae: vae.clone(),
            ends,
            prior,
            objective,
            samples,
            gradients,
            posterior: Tensor::zeros(gpu, batch, distribution.outputs(latents))?,
            distribution,
            z,
            log_prob: Tensor::zeros(gpu, rows, parts)?,
            kl: Tensor::zeros(gpu, rows, latents)?,
        })
    }

    /// The most examples of a batch.
    pub fn batch(&self) -> usize {
        self.posterior.rows()
    }

    /// The encoder and the decoder of sentences.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a model of images.
    pub(super) fn text(&self) -> Result<&Text, Error> {
        match &self.ends {
            Ends::Text(text) => Ok(text),
            Ends::Stacks(_) => self.vae.model.text().map(|_| unreachable!("a model of text has such ends")),
        }
    }

    /// Records the gathering of a batch.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the examples are of another kind or size than the model's.
    pub(super) fn gather(
        &self,
        examples: &DeviceExamples,
        step: &Tensor,
        order: &Tensor,
        mode: Mode,
    ) -> Result<Vec<Dispatch>, Error> {
        match (&self.ends, examples) {
            (Ends::Stacks(stacks), DeviceExamples::Images(images)) => images.gather(self.at(step), order, &stacks.x),
            (Ends::Text(text), DeviceExamples::Sentences(sentences)) => {
                Ok(vec![text.gather(self.at(step), sentences, order, mode)?])
            }
            _ => Err(Error::Argument {
                operation: "gathering a batch",
                expected: self.vae.model.data.to_string(),
                found: "examples of another kind".to_owned(),
            }),
        }
    }

    /// The most examples with the given number of samples each that a network can be made for: no tensor is larger than a
    /// binding, and no grid than an axis.
    pub fn most_examples(vae: &Vae, samples: usize) -> usize {
        let of_tensors = vae.gpu.most_rows(vae.model.widest());
        let of_grids = vae.gpu.most_workgroups() * ROWS_OF_WORKGROUP / vae.model.most_positions();
        of_tensors.min(of_grids) / samples
    }

    /// Records the prior's values that depend only on the parameters. They are needed before draws from the prior or
    /// densities of draws, and must be recomputed when the parameters have changed.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if a kernel cannot be made.
    pub(super) fn prepare(&self) -> Result<Vec<Dispatch>, Error> {
        self.prior.prepare()
    }

    /// Records the encoder, from a batch to `posterior`, `(B, outputs)`.
    ///
    /// # Errors
    ///
    /// As [`crate::nn::Stack::forward`].
    pub(super) fn encode(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        match &self.ends {
            Ends::Stacks(stacks) => stacks.encode(self, step, mode),
            Ends::Text(text) => text.encode(self, step, mode),
        }
    }

    /// Records the decoder of images and the pixels of the likelihood, from `z` to `pixels`.
    ///
    /// # Shapes
    ///
    /// - `z`: `(B * K, L)`
    /// - `pixels`: `(B * K, D)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a model of text.
    pub(super) fn decode(&self, step: &Tensor, shown: Pixels, pixels: &Tensor) -> Result<Vec<Dispatch>, Error> {
        match &self.ends {
            Ends::Stacks(stacks) => stacks.decode(self, step, shown, pixels),
            Ends::Text(_) => self.vae.model.image().map(|_| Vec::new()),
        }
    }

    /// Records the draws from the prior into `z`, `(B * K, L)`.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the batch is larger than the adapter's grid.
    pub(super) fn draw_prior(&self, step: &Tensor) -> Result<Dispatch, Error> {
        self.prior.sample(self.at(step), &self.z)
    }

    /// Records the forward pass, from a batch to `log_prob`, `kl` and the objective's own tensors. If the network trains,
    /// the gradient with respect to the decoder's output is stored too.
    ///
    /// # Shapes
    ///
    /// - `log_prob`: `(B * K, parts)`, in nats
    /// - `kl`: `(B * K, L)`, in nats
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] would be a bug: the tensors were made for each other.
    pub(super) fn forward(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = self.terms(step, mode)?;
        dispatches.extend(self.objective.weigh(self.at(step), &self.log_prob, &self.kl)?);
        Ok(dispatches)
    }

    /// Records the forward pass as far as `log_prob` and `kl`, with the shapes of [`Network::forward`].
    ///
    /// # Errors
    ///
    /// As [`Network::forward`].
    pub(super) fn terms(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        match &self.ends {
            Ends::Stacks(stacks) => stacks.terms(self, step, mode),
            Ends::Text(text) => text.terms(self, step, mode),
        }
    }

    /// Records the backward pass of the loss, from the values of [`Network::forward`] to the gradients of all
    /// parameters.
    ///
    /// # Shapes
    ///
    /// - `parameters`: an arena with a gradient for each of [`Model::parameters`](super::Model::parameters)
    ///
    /// # Panics
    ///
    /// If the network was not made for training: a bug.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] would be a bug: the tensors were made for each other.
    pub(super) fn backward(&self, step: &Tensor, parameters: &Arena) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = match &self.ends {
            Ends::Stacks(stacks) => stacks.backward(self, step, parameters)?,
            Ends::Text(text) => text.backward(self, step, parameters)?,
        };
        dispatches.extend(self.prior.backward(self.at(step), self.objective.part(), &self.z, parameters)?);
        Ok(dispatches)
    }

    fn of_backward(&self) -> &Gradients {
        self.gradients.as_ref().expect("a backward pass is recorded for a network that trains")
    }

    /// Records the end of a step of `pass`, after everything else.
    ///
    /// # Errors
    ///
    /// As [`metrics::finish`].
    pub fn finish(&self, pass: &Pass) -> Result<Dispatch, Error> {
        metrics::finish(self.at(&pass.step), pass, self.objective.part(), &self.log_prob, &self.kl)
    }

    /// The context in which the kernels of samples are recorded.
    pub(crate) fn at<'a>(&'a self, step: &'a Tensor) -> At<'a> {
        At::new(&self.vae.gpu, step, self.samples)
    }

    fn draws(&self) -> Draws<'_> {
        Draws { prior: self.prior.part(), outputs: &self.posterior, z: &self.z }
    }

    fn recording<'a>(&'a self, step: &'a Tensor, samples: usize, mode: Mode) -> Recording<'a> {
        Recording::new(At { samples, ..self.at(step) }, &self.vae.parameters, mode)
    }
}
