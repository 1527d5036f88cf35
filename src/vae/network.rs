//! A model's tensors for one batch size, and the passes recorded over them.

use super::Vae;
use crate::Error;
use crate::gpu::{Arena, Dispatch, Tensor};
use crate::likelihood::{LikelihoodState, LikelihoodTensors};
use crate::nn::{Mlp, MlpActivations};
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
    /// The latents, `(B, L)`.
    pub z: Tensor,
    dz: Tensor,
    /// The log probability of each example, `(B)`, in nats.
    pub log_prob: Tensor,
    /// The KL divergence of each example, `(B)`, in nats.
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
        let x = Tensor::zeros(gpu, batch, model.dimensions())?;
        let z = Tensor::zeros(gpu, batch, model.config.latents)?;
        Ok(Network {
            encoder_values: encoder.activations(gpu, &x)?,
            decoder_values: decoder.activations(gpu, &z)?,
            likelihood: model.config.likelihood.state(gpu, parameters, batch, model.config.variance)?,
            vae: vae.clone(),
            encoder,
            decoder,
            x,
            dz: Tensor::zeros(gpu, batch, model.config.latents)?,
            z,
            log_prob: Tensor::zeros(gpu, 1, batch)?,
            kl: Tensor::zeros(gpu, 1, batch)?,
        })
    }

    /// What the encoder puts out, `(B, 2L)`: the posterior's mean, then its log variance.
    pub fn posterior(&self) -> &Tensor {
        &self.encoder_values.output
    }

    /// Records the encoder, from `x` to the posterior.
    ///
    /// # Errors
    ///
    /// As [`Mlp::forward`].
    pub fn encode(&self, step: &Tensor) -> Result<Vec<Dispatch>, Error> {
        self.encoder.forward(&self.vae.gpu, step, &self.vae.parameters, &self.encoder_values)
    }

    /// Records the decoder and the likelihood's mean, from `z` to `mean`, `(B, D)`.
    ///
    /// # Errors
    ///
    /// As [`Mlp::forward`].
    pub fn decode(&self, step: &Tensor, mean: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let Vae { gpu, model, parameters, .. } = &self.vae;
        let mut dispatches = self.decoder.forward(gpu, step, parameters, &self.decoder_values)?;
        dispatches.push(model.config.likelihood.mean(gpu, step, &self.decoder_values.output, mean)?);
        Ok(dispatches)
    }

    /// Records the draws from the prior into `z`.
    ///
    /// # Errors
    ///
    /// As [`standard_normal::sample`].
    pub fn draw_prior(&self, step: &Tensor) -> Result<Dispatch, Error> {
        standard_normal::sample(&self.vae.gpu, step, &self.z)
    }

    /// Records the forward pass, from `x` to `log_prob` and `kl`, with one posterior sample an example.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] would be a bug: the tensors were made for each other.
    pub fn forward(&self, step: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let Vae { gpu, model, parameters, .. } = &self.vae;
        let mut dispatches = self.encode(step)?;
        dispatches.push(normal::reparameterise(gpu, step, self.posterior(), &self.z)?);
        dispatches.push(standard_normal::kl(gpu, step, self.posterior(), &self.kl)?);
        dispatches.extend(self.decoder.forward(gpu, step, parameters, &self.decoder_values)?);
        let tensors = self.likelihood_tensors();
        dispatches.push(model.config.likelihood.log_prob(gpu, step, &self.likelihood, &tensors)?);
        Ok(dispatches)
    }

    /// Records the backward pass of the loss, from what [`Network::forward`] left to the gradients of all parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] would be a bug: the tensors were made for each other.
    pub fn backward(&self, step: &Tensor, gradients: &Arena) -> Result<Vec<Dispatch>, Error> {
        let Vae { gpu, model, parameters, .. } = &self.vae;
        let (encoder, decoder) = (&self.encoder_values, &self.decoder_values);
        let tensors = self.likelihood_tensors();
        let likelihood = model.config.likelihood;
        let mut dispatches = likelihood.backward(gpu, step, &self.likelihood, gradients, &tensors, &decoder.doutput)?;
        dispatches.extend(self.decoder.backward(gpu, step, parameters, gradients, decoder, Some(&self.dz))?);
        let dposterior = &encoder.doutput;
        dispatches.push(normal::reparameterise_backward(gpu, step, self.posterior(), &self.dz, dposterior)?);
        dispatches.push(standard_normal::kl_backward(gpu, step, self.posterior(), dposterior)?);
        dispatches.extend(self.encoder.backward(gpu, step, parameters, gradients, encoder, None)?);
        Ok(dispatches)
    }

    fn likelihood_tensors(&self) -> LikelihoodTensors<'_> {
        LikelihoodTensors { x: &self.x, output: &self.decoder_values.output, log_prob: &self.log_prob }
    }
}
