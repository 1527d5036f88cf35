//! A model's tensors for one batch size, and the passes recorded over them.

mod bottleneck;

use super::Vae;
use crate::Error;
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::likelihood::{self, Density, Pixels, Terms};
use crate::nn::{Epilogue, Mode, Recording, Stack, StackGradients, StackValues};
use crate::objective::{ObjectiveConfig, ObjectiveState};
use crate::posterior::{Draws, Reparameterised};
use crate::prior::{KlEstimate, PriorContext, PriorState};
use crate::step::metrics;
use crate::step::{At, Pass};

/// The values of a model for batches of up to `B` examples with `K` importance samples each, and, if it trains, the
/// tensors of a backward pass.
#[derive(Debug)]
pub struct Network {
    vae: Vae,
    encoder: Stack,
    decoder: Stack,
    encoder_values: StackValues,
    decoder_values: StackValues,
    distribution: Box<dyn Reparameterised>,
    density: Box<dyn Density>,
    prior: Box<dyn PriorState>,
    objective: Box<dyn ObjectiveState>,
    samples: usize,
    gradients: Option<Gradients>,
    /// The data, `(B, D)`.
    pub x: Tensor,
    /// The encoder's output, `(B, outputs)`: the posterior's parameters.
    pub posterior: Tensor,
    /// The latents, `(B * K, L)`, the samples of an example one after the other.
    pub z: Tensor,
    /// The decoder's output if it is stored, later the gradient with respect to it, `(B * K, outputs)`; without rows if
    /// neither is needed.
    output: Tensor,
    /// The log probability of each sample, `(B * K, parts)`, in nats: each part's share of the sum over the dimensions.
    pub log_prob: Tensor,
    /// The KL divergence of each sample, `(B * K, L)`, in nats: each latent's share of the sum.
    pub kl: Tensor,
}

/// The tensors of a backward pass, apart from the values.
#[derive(Debug)]
struct Gradients {
    encoder: StackGradients,
    decoder: StackGradients,
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
        Network::new(vae, batch, objective, true)
    }

    /// Makes the tensors for batches of up to `batch` examples, without those of a backward pass.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn evaluation(vae: &Vae, batch: usize, objective: &ObjectiveConfig) -> Result<Network, Error> {
        Network::new(vae, batch, objective, false)
    }

    fn new(vae: &Vae, batch: usize, config: &ObjectiveConfig, trains: bool) -> Result<Network, Error> {
        let Vae { gpu, model, parameters, .. } = vae;
        let (dimensions, latents, samples) = (model.dimensions(), model.config.latents, config.samples);
        let rows = batch * samples;
        let (encoder, decoder) = (model.encoder(), model.decoder());
        let (posterior, density) = (&model.config.posterior, model.config.likelihood.density());
        let distribution = posterior.distribution();
        let objective = config.state(gpu, batch, latents)?;
        let sampled = objective.needs_sampled_kl() || !model.config.prior.has_closed_form();
        let estimate = if sampled { KlEstimate::Sampled } else { config.kl };
        let prior = model.config.prior.density();
        let context = PriorContext { gpu, parameters, encoder: &encoder, posterior, latents, rows, estimate, trains };
        let prior = prior.state(context)?;
        let (x, z) = (Tensor::zeros(gpu, batch, dimensions)?, Tensor::zeros(gpu, rows, latents)?);
        let (encoder_values, decoder_values) = (encoder.values(gpu, &x)?, decoder.values(gpu, &z)?);
        let gradients = match trains {
            false => None,
            true => {
                let fused = samples == 1 && objective.is_plain() && estimate == KlEstimate::ClosedForm;
                Some(Gradients {
                    encoder: encoder.gradients(gpu, &encoder_values)?,
                    decoder: decoder.gradients(gpu, &decoder_values)?,
                    dposterior: Tensor::zeros(gpu, batch, distribution.outputs(latents))?,
                    dz: if fused { None } else { Some(Tensor::zeros(gpu, rows, latents)?) },
                })
            }
        };
        let stored = if trains || density.stores_output() { rows } else { 0 };
        Ok(Network {
            vae: vae.clone(),
            encoder,
            decoder,
            encoder_values,
            decoder_values,
            prior,
            objective,
            samples,
            gradients,
            x,
            posterior: Tensor::zeros(gpu, batch, distribution.outputs(latents))?,
            distribution,
            z,
            output: Tensor::zeros(gpu, stored, model.outputs())?,
            log_prob: Tensor::zeros(gpu, rows, density.partial_sums(gpu, dimensions)?)?,
            density,
            kl: Tensor::zeros(gpu, rows, latents)?,
        })
    }

    /// The most examples with the given number of samples each that a network can be made for: no tensor is larger than a
    /// binding.
    pub fn most_examples(vae: &Vae, samples: usize) -> usize {
        vae.gpu.most_rows(vae.model.widest()) / samples
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

    /// Records the encoder, from `x` to `posterior`.
    ///
    /// # Shapes
    ///
    /// - `x`: `(B, D)`
    /// - `posterior`: `(B, outputs)`
    ///
    /// # Errors
    ///
    /// As [`Stack::forward`].
    pub(super) fn encode(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let (values, gradients) = (&self.encoder_values, self.gradients.as_ref().map(|gradients| &gradients.encoder));
        self.encoder.forward(self.recording(step, 1, mode), values, gradients, &Epilogue::store(&self.posterior))
    }

    /// Records the decoder and the pixels of the likelihood, from `z` to `pixels`.
    ///
    /// # Shapes
    ///
    /// - `z`: `(B * K, L)`
    /// - `pixels`: `(B * K, D)`
    ///
    /// # Errors
    ///
    /// As [`Stack::forward`] and [`likelihood::show`].
    pub(super) fn decode(&self, step: &Tensor, shown: Pixels, pixels: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let recording = self.recording(step, self.samples, Mode::Evaluation);
        let values = &self.decoder_values;
        if shown == Pixels::Mean
            && let Some(mean) = self.density.mean(pixels)
        {
            return self.decoder.forward(recording, values, None, &mean);
        }
        let outputs = Tensor::zeros(&self.vae.gpu, self.z.rows(), self.output.columns())?;
        let mut dispatches = self.decoder.forward(recording, values, None, &Epilogue::store(&outputs))?;
        dispatches.push(likelihood::show(&*self.density, recording, shown, &outputs, pixels)?);
        Ok(dispatches)
    }

    /// Records the draws from the prior into `z`, `(B * K, L)`.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the batch is larger than the adapter's grid.
    pub(super) fn draw_prior(&self, step: &Tensor) -> Result<Dispatch, Error> {
        self.prior.sample(self.at(step), &self.z)
    }

    /// Records the forward pass, from `x` to `log_prob`, `kl` and the objective's own tensors. If the network trains,
    /// the gradient with respect to the decoder's output is stored too.
    ///
    /// # Shapes
    ///
    /// - `x`: `(B, D)`
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
        let at = self.at(step);
        let (values, gradients) = (&self.encoder_values, self.gradients.as_ref().map(|gradients| &gradients.encoder));
        let (recording, hidden) = (self.recording(step, 1, mode), 0..self.encoder.depth());
        let mut dispatches = self.encoder.forward_hidden(recording, values, gradients, hidden)?;
        dispatches.extend(self.bottleneck(step, mode)?);
        dispatches.extend(self.prior.forward(at, &self.z, &self.kl)?);
        let terms = self.likelihood_terms();
        terms.check(at, &*self.density)?;
        let recording = self.recording(step, self.samples, mode);
        let (epilogue, after) = self.density.log_prob(recording, terms)?;
        let (values, gradients) = (&self.decoder_values, self.gradients.as_ref().map(|gradients| &gradients.decoder));
        let rest = 1.min(self.decoder.depth())..self.decoder.depth();
        dispatches.extend(self.decoder.forward_hidden(recording, values, gradients, rest)?);
        dispatches.extend(self.decoder.forward_output(recording, values, &epilogue)?);
        dispatches.extend(after);
        Ok(dispatches)
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
        let Gradients { encoder, decoder, dposterior, dz } =
            self.gradients.as_ref().expect("a backward pass is recorded for a network that trains");
        let (at, draws, objective) = (self.at(step), self.draws(), self.objective.part());
        let of_decoder = self.recording(step, self.samples, Mode::Training);
        let own = self.density.backward(of_decoder, self.likelihood_terms(), objective, parameters)?;
        let mut dispatches: Vec<_> = own.into_iter().collect();
        dispatches.extend(self.objective.scale(at, &self.output)?);
        let values = (&self.decoder_values, decoder);
        match dz {
            None => {
                let after_first = 1..self.decoder.depth() + 1;
                let layers =
                    self.decoder.backward_layers(of_decoder, parameters, values, &self.output, None, after_first)?;
                dispatches.extend(layers);
                dispatches.extend(self.bottleneck_backward(step, parameters)?);
            }
            Some(dz) => {
                let store = Epilogue::store(dz);
                dispatches.extend(self.decoder.backward(of_decoder, parameters, values, &self.output, Some(&store))?);
                dispatches.extend(self.prior.backward_z(at, &self.z)?);
                dispatches.push(self.distribution.backward(at, draws, objective, dz, dposterior)?);
                let (of_encoder, values) = (self.recording(step, 1, Mode::Training), (&self.encoder_values, encoder));
                dispatches.extend(self.encoder.backward(of_encoder, parameters, values, dposterior, None)?);
            }
        }
        dispatches.extend(self.prior.backward(at, objective, &self.z, parameters)?);
        Ok(dispatches)
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
        At { gpu: &self.vae.gpu, step, samples: self.samples }
    }

    fn draws(&self) -> Draws<'_> {
        Draws { prior: self.prior.part(), outputs: &self.posterior, z: &self.z }
    }

    fn likelihood_terms(&self) -> Terms<'_> {
        let Network { x, output, log_prob, gradients, .. } = self;
        Terms { x, output, log_prob, trains: gradients.is_some() }
    }

    fn recording<'a>(&'a self, step: &'a Tensor, samples: usize, mode: Mode) -> Recording<'a> {
        Recording::new(At { samples, ..self.at(step) }, &self.vae.parameters, mode)
    }
}
