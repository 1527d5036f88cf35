//! The encoder and the decoder of images: two stacks of layers, with their values.

use super::{Gradients, Network};
use crate::Error;
use crate::data::ImageShape;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::likelihood::{self, Density, Pixels, Terms};
use crate::nn::{Epilogue, Mode, Stack, StackGradients, StackValues};
use crate::vae::Vae;

/// The stacks and their values for one batch.
#[derive(Debug)]
pub(super) struct Stacks {
    pub encoder: Stack,
    pub decoder: Stack,
    pub encoder_values: StackValues,
    pub decoder_values: StackValues,
    /// Those of the encoder and of the decoder, if the network trains.
    pub gradients: Option<[StackGradients; 2]>,
    density: Box<dyn Density>,
    /// The data, `(B, D)`.
    pub x: Tensor,
    /// The decoder's output if it is stored, later the gradient with respect to it, `(B * K, outputs)`; without rows if
    /// neither is needed.
    pub output: Tensor,
}

impl Stacks {
    /// Makes the tensors for up to `batch` images, whose latents are `z`, `(B * K, L)`.
    pub fn new(vae: &Vae, image: ImageShape, batch: usize, z: &Tensor, trains: bool) -> Result<Stacks, Error> {
        let (gpu, model) = (&vae.gpu, &vae.model);
        let (encoder, decoder) = (model.encoder(image), model.decoder(image));
        let density = model.config.likelihood.density();
        let x = Tensor::zeros(gpu, batch, image.dimensions())?;
        let (encoder_values, decoder_values) = (encoder.values(gpu, &x)?, decoder.values(gpu, z)?);
        let gradients = match trains {
            false => None,
            true => Some([encoder.gradients(gpu, &encoder_values)?, decoder.gradients(gpu, &decoder_values)?]),
        };
        let stored = if trains || density.stores_output() { z.rows() } else { 0 };
        let output = Tensor::zeros(gpu, stored, model.outputs(image))?;
        Ok(Stacks { encoder, decoder, encoder_values, decoder_values, gradients, density, x, output })
    }

    /// The parts of a log probability.
    pub fn parts(&self, gpu: &Gpu) -> Result<usize, Error> {
        self.density.partial_sums(gpu, self.x.columns())
    }

    pub fn of_encoder(&self) -> Option<&StackGradients> {
        self.gradients.as_ref().map(|[encoder, _]| encoder)
    }

    pub fn of_decoder(&self) -> Option<&StackGradients> {
        self.gradients.as_ref().map(|[_, decoder]| decoder)
    }

    pub fn encode(&self, network: &Network, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let (recording, store) = (network.recording(step, 1, mode), Epilogue::store(&network.posterior));
        self.encoder.forward(recording, &self.encoder_values, self.of_encoder(), &store)
    }

    pub fn decode(
        &self,
        network: &Network,
        step: &Tensor,
        shown: Pixels,
        pixels: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        let recording = network.recording(step, network.samples, Mode::Evaluation);
        let values = &self.decoder_values;
        if shown == Pixels::Mean
            && let Some(mean) = self.density.mean(pixels)
        {
            return self.decoder.forward(recording, values, None, &mean);
        }
        let outputs = Tensor::zeros(&network.vae.gpu, network.z.rows(), self.output.columns())?;
        let mut dispatches = self.decoder.forward(recording, values, None, &Epilogue::store(&outputs))?;
        dispatches.push(likelihood::show(&*self.density, recording, shown, &outputs, pixels)?);
        Ok(dispatches)
    }

    pub fn terms(&self, network: &Network, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let at = network.at(step);
        let (recording, hidden) = (network.recording(step, 1, mode), 0..self.encoder.depth());
        let mut dispatches = self.encoder.forward_hidden(recording, &self.encoder_values, self.of_encoder(), hidden)?;
        dispatches.extend(self.bottleneck(network, step, mode)?);
        dispatches.extend(network.prior.forward(at, &network.z, &network.kl)?);
        let terms = self.likelihood_terms(network);
        terms.check(at, &*self.density)?;
        let recording = network.recording(step, network.samples, mode);
        let (epilogue, after) = self.density.log_prob(recording, terms)?;
        let (values, rest) = (&self.decoder_values, 1.min(self.decoder.depth())..self.decoder.depth());
        dispatches.extend(self.decoder.forward_hidden(recording, values, self.of_decoder(), rest)?);
        dispatches.extend(self.decoder.forward_output(recording, values, &epilogue)?);
        dispatches.extend(after);
        Ok(dispatches)
    }

    pub fn backward(&self, network: &Network, step: &Tensor, parameters: &Arena) -> Result<Vec<Dispatch>, Error> {
        let Gradients { dposterior, dz } = network.of_backward();
        let [of_encoder, of_decoder] = self.of_backward();
        let (at, draws, objective) = (network.at(step), network.draws(), network.objective.part());
        let recording = network.recording(step, network.samples, Mode::Training);
        let own = self.density.backward(recording, self.likelihood_terms(network), objective, parameters)?;
        let mut dispatches: Vec<_> = own.into_iter().collect();
        dispatches.extend(network.objective.scale(at, &self.output)?);
        let values = (&self.decoder_values, of_decoder);
        match dz {
            None => {
                let after_first = 1..self.decoder.depth() + 1;
                let layers =
                    self.decoder.backward_layers(recording, parameters, values, &self.output, None, after_first)?;
                dispatches.extend(layers);
                dispatches.extend(self.bottleneck_backward(network, step, parameters)?);
            }
            Some(dz) => {
                let store = Epilogue::store(dz);
                dispatches.extend(self.decoder.backward(recording, parameters, values, &self.output, Some(&store))?);
                dispatches.extend(network.prior.backward_z(at, &network.z)?);
                dispatches.push(network.distribution.backward(at, draws, objective, dz, dposterior)?);
                let recording = network.recording(step, 1, Mode::Training);
                let values = (&self.encoder_values, of_encoder);
                dispatches.extend(self.encoder.backward(recording, parameters, values, dposterior, None)?);
            }
        }
        Ok(dispatches)
    }

    pub fn of_backward(&self) -> &[StackGradients; 2] {
        self.gradients.as_ref().expect("a backward pass is recorded for a network that trains")
    }

    fn likelihood_terms<'a>(&'a self, network: &'a Network) -> Terms<'a> {
        Terms { x: &self.x, output: &self.output, log_prob: &network.log_prob, trains: self.gradients.is_some() }
    }
}
