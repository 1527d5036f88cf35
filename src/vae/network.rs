//! A model's tensors for one batch size, and the passes recorded over them.

use super::Vae;
use crate::Error;
use crate::config::ModelConfig;
use crate::gpu::{Arena, Dispatch, Program, Tensor};
use crate::likelihood::LikelihoodState;
use crate::metrics;
use crate::nn::{Epilogue, Mlp, MlpActivations, Mode, Recording};
use crate::objective::{ObjectiveConfig, ObjectiveState};
use crate::posterior::normal::Draws;
use crate::prior::{KlEstimate, PriorState};
use crate::steps::Pass;

/// The values and gradients of a model for batches of up to `B` examples with `K` importance samples each.
pub struct Network {
    vae: Vae,
    encoder: Mlp,
    decoder: Mlp,
    encoder_values: MlpActivations,
    decoder_values: MlpActivations,
    likelihood: LikelihoodState,
    prior: PriorState,
    objective: ObjectiveState,
    samples: usize,
    /// The data, `(B, D)`.
    pub x: Tensor,
    /// What the encoder puts out, `(B, 2L)`: the posterior's mean, then its log variance.
    pub posterior: Tensor,
    dposterior: Tensor,
    /// The latents, `(B * K, L)`, the samples of an example one after the other.
    pub z: Tensor,
    /// Their gradient, where it is not taken on to the posterior at once.
    dz: Option<Tensor>,
    /// The gradient with respect to what the decoder puts out, `(B * K, outputs)`; that itself is stored only in its place.
    doutput: Tensor,
    /// The log probability of each sample, `(B * K, parts)`, in nats: each part's share of the sum over the dimensions.
    pub log_prob: Tensor,
    /// The KL divergence of each sample, `(B * K, L)`, in nats: each latent's share of the sum.
    pub kl: Tensor,
}

impl Network {
    /// Makes the tensors for batches of up to `batch` examples.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(vae: &Vae, batch: usize, objective: &ObjectiveConfig) -> Result<Network, Error> {
        let Vae { gpu, model, parameters, .. } = vae;
        let (encoder, decoder) = (model.encoder(), model.decoder());
        let (dimensions, latents) = (model.dimensions(), model.config.latents);
        let samples = objective.samples;
        let rows = batch * samples;
        let kl_estimate = if model.config.kl_is_estimate() { KlEstimate::Sampled } else { objective.kl_estimate() };
        let objective = objective.state(gpu, batch, latents)?;
        let fused = samples == 1 && objective.is_plain() && kl_estimate == KlEstimate::ClosedForm;
        let ModelConfig { prior, posterior, .. } = &model.config;
        let prior = PriorState::new(gpu, prior, posterior, parameters, &encoder, kl_estimate, [batch, samples])?;
        let likelihood = LikelihoodState::new(gpu, &model.config.likelihood, parameters, dimensions)?;
        let x = Tensor::zeros(gpu, batch, dimensions)?;
        let z = Tensor::zeros(gpu, rows, latents)?;
        Ok(Network {
            encoder_values: encoder.activations(gpu, &x)?,
            decoder_values: decoder.activations(gpu, &z)?,
            prior,
            objective,
            samples,
            vae: vae.clone(),
            encoder,
            decoder,
            x,
            posterior: Tensor::zeros(gpu, batch, 2 * latents)?,
            dposterior: Tensor::zeros(gpu, batch, 2 * latents)?,
            dz: if fused { None } else { Some(Tensor::zeros(gpu, rows, latents)?) },
            z,
            doutput: Tensor::zeros(gpu, rows, likelihood.outputs())?,
            log_prob: likelihood.log_prob_tensor(gpu, rows)?,
            likelihood,
            kl: Tensor::zeros(gpu, rows, latents)?,
        })
    }

    /// The most examples with so many samples each that a network can be made for: no tensor is larger than a binding.
    pub fn most_examples(vae: &Vae, samples: usize) -> usize {
        vae.gpu.most_rows(vae.model.widest()) / samples
    }

    /// Records what depends on the parameters alone, for the prior: once before whatever draws from the prior or weighs draws
    /// by it, and again when the parameters have changed.
    ///
    /// # Errors
    ///
    /// As [`PriorState::prepare`].
    pub fn prepare(&self) -> Result<Vec<Dispatch>, Error> {
        self.prior.prepare()
    }

    /// Does what [`Network::prepare`] records, for parameters that stay as they are.
    ///
    /// # Errors
    ///
    /// As [`Network::prepare`].
    pub fn prepare_now(&self) -> Result<(), Error> {
        let mut program = Program::default();
        program.extend(self.prepare()?);
        self.vae.gpu.run(&program, 1);
        Ok(())
    }

    /// Records the encoder, from `x` to the posterior.
    ///
    /// # Errors
    ///
    /// As [`Mlp::forward`].
    pub fn encode(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        self.encoder.forward(self.recording(step, 1, mode), &self.encoder_values, &Epilogue::store(&self.posterior))
    }

    /// Records the decoder and what is shown of the likelihood, from `z` to `pixels`, `(B * K, D)`.
    ///
    /// # Errors
    ///
    /// As [`Mlp::forward`].
    pub fn decode(&self, step: &Tensor, pixels: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let Vae { gpu, pixels: shown, .. } = &self.vae;
        let (epilogue, after) = self.likelihood.pixels(gpu, step, self.samples, *shown, &self.doutput, pixels)?;
        let recording = self.recording(step, self.samples, Mode::Evaluation);
        let mut dispatches = self.decoder.forward(recording, &self.decoder_values, &epilogue)?;
        dispatches.extend(after);
        Ok(dispatches)
    }

    /// Records the draws from the prior into `z`.
    ///
    /// # Errors
    ///
    /// As [`PriorState::sample`].
    pub fn draw_prior(&self, step: &Tensor) -> Result<Dispatch, Error> {
        self.prior.sample(step, &self.z)
    }

    /// Records the forward pass, from `x` to `log_prob`, `kl` and what the objective makes of them. The gradient with respect
    /// to what the decoder puts out is made on the way.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] would be a bug: the tensors were made for each other.
    pub fn forward(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = self.terms(step, mode)?;
        dispatches.extend(self.objective.weigh(&self.vae.gpu, step, &self.log_prob, &self.kl)?);
        Ok(dispatches)
    }

    /// Records the forward pass as far as `log_prob` and `kl`.
    ///
    /// # Errors
    ///
    /// As [`Network::forward`].
    pub fn terms(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = self.encode(step, mode)?;
        dispatches.push(self.draws(step).draw(&self.kl)?);
        dispatches.extend(self.prior.forward(step, &self.z, &self.kl)?);
        let (gpu, samples) = (&self.vae.gpu, self.samples);
        let (epilogue, after) = self.likelihood.log_prob(gpu, step, samples, &self.x, &self.doutput, &self.log_prob)?;
        dispatches.extend(self.decoder.forward(
            self.recording(step, samples, mode),
            &self.decoder_values,
            &epilogue,
        )?);
        dispatches.extend(after);
        Ok(dispatches)
    }

    /// Records the backward pass of the loss, from what [`Network::forward`] left to the gradients of all parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] would be a bug: the tensors were made for each other.
    pub fn backward(&self, step: &Tensor, gradients: &Arena) -> Result<Vec<Dispatch>, Error> {
        let gpu = &self.vae.gpu;
        let objective = (self.objective.part(), self.samples);
        let own = self.likelihood.backward(gpu, step, objective, gradients, &self.doutput, &self.log_prob)?;
        let mut dispatches: Vec<_> = own.into_iter().collect();
        dispatches.extend(self.objective.scale(gpu, step, &self.doutput)?);
        let draws = self.draws(step);
        let dz = match &self.dz {
            None => draws.backward_epilogue(&self.dposterior)?,
            Some(dz) => Epilogue::store(dz),
        };
        let (values, doutput) = (&self.decoder_values, &self.doutput);
        let recording = self.recording(step, self.samples, Mode::Training);
        dispatches.extend(self.decoder.backward(recording, gradients, values, doutput, Some(&dz))?);
        dispatches.extend(self.prior.backward_z(step, &self.z)?);
        if let Some(dz) = &self.dz {
            dispatches.push(draws.backward(self.objective.part(), dz, &self.dposterior)?);
        }
        let (values, doutput) = (&self.encoder_values, &self.dposterior);
        let recording = self.recording(step, 1, Mode::Training);
        dispatches.extend(self.encoder.backward(recording, gradients, values, doutput, None)?);
        dispatches.extend(self.prior.backward(step, self.objective.part(), &self.z, gradients)?);
        Ok(dispatches)
    }

    /// Records the end of a step of `pass`, after everything else.
    ///
    /// # Errors
    ///
    /// As [`metrics::finish`].
    pub fn finish(&self, pass: &Pass) -> Result<Dispatch, Error> {
        metrics::finish(&self.vae.gpu, pass, self.objective.part(), self.samples, &self.log_prob, &self.kl)
    }

    /// Importance samples of each example.
    pub fn samples(&self) -> usize {
        self.samples
    }

    fn draws<'a>(&'a self, step: &'a Tensor) -> Draws<'a> {
        Draws {
            gpu: &self.vae.gpu,
            step,
            samples: self.samples,
            logvar_range: self.vae.model.config.posterior.logvar_range,
            prior: self.prior.part(),
            posterior: &self.posterior,
            z: &self.z,
        }
    }

    fn recording<'a>(&'a self, step: &'a Tensor, samples: usize, mode: Mode) -> Recording<'a> {
        Recording { gpu: &self.vae.gpu, step, parameters: &self.vae.parameters, samples, mode, accumulate: false }
    }
}
