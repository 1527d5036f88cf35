//! The narrow part of a model: the posterior's product, the draws, and the decoder's first hidden layer. They are three kernels, or
//! one, whichever is faster.

use super::Network;
use crate::Error;
use crate::gpu::{Candidate, Dispatch, KernelRequest, Tensor};
use crate::nn::{Epilogue, Mode};
use crate::posterior::Bottleneck;
use crate::step::Step;

/// The names of the choice in a run's table of kernels.
const APART: &str = "apart";
const FUSED: &str = "fused";

impl Network {
    /// Records the forward pass from the encoder's last hidden values to the decoder's first ones.
    ///
    /// # Errors
    ///
    /// As [`Network::forward`].
    pub(super) fn bottleneck(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let gpu = &self.vae.gpu;
        let request = gpu.kernel_request();
        // A software adapter gains little from fewer dispatches.
        let may_fuse =
            !gpu.adapter().is_software() || request.names(FUSED) || matches!(request, KernelRequest::Compared);
        if !may_fuse || self.fused(step, mode)?.is_none() {
            return self.apart(step, mode);
        }
        let candidates = [APART, FUSED].map(|name| Candidate { name, bytes: None, expected_seconds: None });
        let [hidden, latents, first] = self.bottleneck_sizes();
        let rows = self.x.rows();
        let question = format!("bottleneck {hidden} to {latents} to {first}, {rows} rows");
        let products = hidden * self.posterior.columns() + latents * first;
        let (index, choice) = gpu.choose(&question, &candidates, 2.0 * (rows * products) as f64, |index| {
            // No step is running yet: a step with a whole batch is measured.
            let step = Step { examples: rows as u32, ..Step::default() }.upload(gpu)?;
            self.as_chosen(&step, mode, index)
        });
        let dispatches = self.as_chosen(step, mode, index)?;
        Ok(dispatches.into_iter().map(|dispatch| dispatch.chosen_by(&choice)).collect())
    }

    fn as_chosen(&self, step: &Tensor, mode: Mode, index: usize) -> Result<Vec<Dispatch>, Error> {
        match index {
            0 => self.apart(step, mode),
            _ => Ok(self.fused(step, mode)?.into_iter().collect()),
        }
    }

    /// The columns of the encoder's last hidden values, the latents, and the columns of the decoder's first hidden values.
    fn bottleneck_sizes(&self) -> [usize; 3] {
        let hidden = self.encoder_values.input_of(self.encoder.depth());
        [hidden.columns(), self.z.columns(), self.decoder_values.input_of(1.min(self.decoder.depth())).columns()]
    }

    /// The kernels one after the other.
    fn apart(&self, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let store = Epilogue::store(&self.posterior);
        let mut dispatches =
            self.encoder.forward_output(self.recording(step, 1, mode), &self.encoder_values, &store)?;
        dispatches.push(self.distribution.draw(self.at(step), self.draws(), &self.kl)?);
        let gradients = self.gradients.as_ref().map(|gradients| &gradients.decoder);
        let (recording, first) = (self.recording(step, self.samples, mode), 0..1.min(self.decoder.depth()));
        dispatches.extend(self.decoder.forward_hidden(recording, &self.decoder_values, gradients, first)?);
        Ok(dispatches)
    }

    /// One kernel, if there is one for this model.
    fn fused(&self, step: &Tensor, mode: Mode) -> Result<Option<Dispatch>, Error> {
        let gradients = self.gradients.as_ref().map(|gradients| &gradients.decoder);
        let decoder = self.decoder.dense_input(&self.vae.gpu, &self.decoder_values, gradients)?;
        let (Some(encoder), Some((decoder, epilogue))) = (self.encoder.dense_output(), &decoder) else {
            return Ok(None);
        };
        let hidden = self.encoder_values.input_of(self.encoder.depth());
        let around = Bottleneck { hidden, encoder, decoder, epilogue };
        self.distribution.bottleneck(self.recording(step, self.samples, mode), self.draws(), &self.kl, &around)
    }
}
