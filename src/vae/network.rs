//! A model's tensors for one batch size, and the passes recorded over them.

use super::Vae;
use crate::Error;
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::likelihood::{Likelihood, LikelihoodState};
use crate::nn::{Epilogue, Mlp, MlpActivations, Recording};
use crate::posterior::normal;
use crate::prior::standard_normal;

/// The values and gradients of a model for batches of up to `B` rows.
pub struct Network {
    vae: Vae,
    encoder: Mlp,
    decoder: Mlp,
    encoder_values: MlpActivations,
    decoder_values: MlpActivations,
    likelihood: LikelihoodState,
    /// The data, `(B, D)`.
    pub x: Tensor,
    /// What the encoder puts out, `(B, 2L)`: the posterior's mean, then its log variance.
    pub posterior: Tensor,
    dposterior: Tensor,
    /// The latents, `(B, L)`.
    pub z: Tensor,
    /// The gradient with respect to what the decoder puts out, `(B, D)`; that itself is never stored.
    doutput: Tensor,
    /// The log probability of each example, `(B, blocks of D)`, in nats: each block's share of the sum.
    pub log_prob: Tensor,
    /// The KL divergence of each example, `(B, L)`, in nats: each latent's share of the sum.
    pub kl: Tensor,
}

impl Network {
    /// Makes the tensors for batches of up to `batch` rows.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(vae: &Vae, batch: usize) -> Result<Network, Error> {
        let Vae { gpu, model, parameters, .. } = vae;
        let (encoder, decoder) = (model.encoder(), model.decoder());
        let (dimensions, latents) = (model.dimensions(), model.config.latents);
        let x = Tensor::zeros(gpu, batch, dimensions)?;
        let z = Tensor::zeros(gpu, batch, latents)?;
        Ok(Network {
            encoder_values: encoder.activations(gpu, &x)?,
            decoder_values: decoder.activations(gpu, &z)?,
            likelihood: model.config.likelihood.state(gpu, parameters, model.config.variance)?,
            vae: vae.clone(),
            encoder,
            decoder,
            x,
            posterior: Tensor::zeros(gpu, batch, 2 * latents)?,
            dposterior: Tensor::zeros(gpu, batch, 2 * latents)?,
            z,
            doutput: Tensor::zeros(gpu, batch, dimensions)?,
            log_prob: Likelihood::log_prob_tensor(gpu, batch, dimensions)?,
            kl: Tensor::zeros(gpu, batch, latents)?,
        })
    }

    /// Records the encoder, from `x` to the posterior.
    ///
    /// # Errors
    ///
    /// As [`Mlp::forward`].
    pub fn encode(&self, step: &Tensor) -> Result<Vec<Dispatch>, Error> {
        self.encoder.forward(self.recording(step), &self.encoder_values, &Epilogue::store(&self.posterior))
    }

    /// Records the decoder and the likelihood's mean, from `z` to `mean`, `(B, D)`.
    ///
    /// # Errors
    ///
    /// As [`Mlp::forward`].
    pub fn decode(&self, step: &Tensor, mean: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let mean = self.vae.model.config.likelihood.mean(mean);
        self.decoder.forward(self.recording(step), &self.decoder_values, &mean)
    }

    /// Records the draws from the prior into `z`.
    ///
    /// # Errors
    ///
    /// As [`standard_normal::sample`].
    pub fn draw_prior(&self, step: &Tensor) -> Result<Dispatch, Error> {
        standard_normal::sample(&self.vae.gpu, step, &self.z)
    }

    /// Records the forward pass, from `x` to `log_prob` and `kl`, with one posterior sample an example. The gradient with
    /// respect to what the decoder puts out is made on the way.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] would be a bug: the tensors were made for each other.
    pub fn forward(&self, step: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let Vae { gpu, model, .. } = &self.vae;
        let likelihood = model.config.likelihood;
        let mut dispatches = self.encode(step)?;
        dispatches.push(normal::draw(gpu, step, standard_normal::kl(), &self.posterior, &self.z, &self.kl)?);
        let log_prob = likelihood.log_prob(gpu, &self.likelihood, 1, &self.x, &self.doutput, &self.log_prob)?;
        dispatches.extend(self.decoder.forward(self.recording(step), &self.decoder_values, &log_prob)?);
        Ok(dispatches)
    }

    /// Records the backward pass of the loss, from what [`Network::forward`] left to the gradients of all parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] would be a bug: the tensors were made for each other.
    pub fn backward(&self, step: &Tensor, gradients: &Arena) -> Result<Vec<Dispatch>, Error> {
        let Vae { gpu, model, .. } = &self.vae;
        let dimensions = model.dimensions();
        let own =
            model.config.likelihood.backward(gpu, step, &self.likelihood, gradients, dimensions, &self.log_prob)?;
        let mut dispatches: Vec<_> = own.into_iter().collect();
        let recording = self.recording(step);
        let dz = normal::backward(standard_normal::kl(), &self.posterior, &self.dposterior)?;
        let (values, doutput) = (&self.decoder_values, &self.doutput);
        dispatches.extend(self.decoder.backward(recording, gradients, values, doutput, Some(&dz))?);
        let (values, doutput) = (&self.encoder_values, &self.dposterior);
        dispatches.extend(self.encoder.backward(recording, gradients, values, doutput, None)?);
        Ok(dispatches)
    }

    fn recording<'a>(&'a self, step: &'a Tensor) -> Recording<'a> {
        Recording { gpu: &self.vae.gpu, step, parameters: &self.vae.parameters, samples: 1 }
    }
}
