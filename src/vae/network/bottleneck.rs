//! The narrow part of a model, from the encoder's last hidden values to the decoder's first ones: a kernel for each product and for
//! the draws, or fewer for all of them, whichever is faster.

use super::{Gradients, Network, Stacks};
use crate::Error;
use crate::gpu::{Arena, Candidate, Dispatch, KernelRequest, Tensor};
use crate::nn::{Epilogue, Mode, WeightGradient, weight_gradients};
use crate::posterior::Bottleneck;
use crate::step::Step;

/// The names of the choice in a run's table of kernels.
const APART: &str = "apart";
const FUSED: &str = "fused";

/// A passage through the bottleneck.
#[derive(Clone, Copy)]
struct Passage {
    name: &'static str,
    /// The encoder's first layer that is part of it.
    from: usize,
    /// Floating-point operations for one example.
    flops: f64,
}

impl Stacks {
    /// Records the forward pass: the posterior, the draws, and the decoder's first hidden layer.
    ///
    /// # Errors
    ///
    /// As [`Network::forward`].
    pub fn bottleneck(&self, network: &Network, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let (depth, flops) =
            (self.encoder.depth(), self.encoder.flops()[self.encoder.depth()] + self.decoder.flops()[0]);
        let fused = |step: &Tensor| Ok(self.fused(network, step, mode)?.map(|dispatch| vec![dispatch]));
        let of = Passage { name: "bottleneck", from: depth, flops };
        self.choose(network, of, step, |step| self.apart(network, step, mode), fused)
    }

    /// Records the backward pass, from the gradient with respect to the decoder's first product: the gradients of its parameters, and
    /// the whole backward pass of the encoder. It is for a KL divergence in closed form.
    ///
    /// # Errors
    ///
    /// As [`Network::backward`].
    pub fn bottleneck_backward(
        &self,
        network: &Network,
        step: &Tensor,
        parameters: &Arena,
    ) -> Result<Vec<Dispatch>, Error> {
        let encoder = self.encoder.flops();
        // Two gradients of each layer, but one of the encoder's first.
        let flops = 2.0 * (encoder.iter().sum::<f64>() + self.decoder.flops()[0]) - encoder[0];
        let of = Passage { name: "bottleneck backward", from: 0, flops };
        let apart = |step: &Tensor| self.apart_backward(network, step, parameters);
        self.choose(network, of, step, apart, |step| self.fused_backward(network, step, parameters))
    }

    /// Records what was chosen.
    fn choose(
        &self,
        network: &Network,
        of: Passage,
        step: &Tensor,
        apart: impl Fn(&Tensor) -> Result<Vec<Dispatch>, Error>,
        fused: impl Fn(&Tensor) -> Result<Option<Vec<Dispatch>>, Error>,
    ) -> Result<Vec<Dispatch>, Error> {
        let gpu = &network.vae.gpu;
        let (question, rows) = (self.question(network, of), self.x.rows());
        let known = gpu.chosen(&question);
        let may_be_measured = match gpu.kernel_request() {
            // A software adapter gains little from fewer dispatches.
            KernelRequest::Measured => !gpu.adapter().is_software(),
            KernelRequest::Only(name) => *name == FUSED,
            KernelRequest::Compared => true,
            KernelRequest::Fixed | KernelRequest::As(_) => false,
        };
        // Recorded first: its own choices are then made.
        let plain = apart(step)?;
        if known.is_none() && !may_be_measured {
            return Ok(plain);
        }
        let in_one = match known.as_deref() {
            Some(APART) => None,
            // There may be no such kernels for the model, or it may be too large for them.
            _ => {
                fused(step).or_else(|error| if matches!(error, Error::Limit { .. }) { Ok(None) } else { Err(error) })?
            }
        };
        let candidates = [APART, FUSED].map(|name| Candidate { name, bytes: None, expected_seconds: None });
        let candidates = if in_one.is_some() { &candidates[..] } else { &candidates[..1] };
        let (index, choice) = gpu.choose(&question, candidates, of.flops * rows as f64, |index| {
            // No step is running yet: a step with a whole batch is measured.
            let step = Step { examples: rows as u32, ..Step::default() }.upload(gpu)?;
            if index == 0 { apart(&step) } else { Ok(fused(&step)?.unwrap_or_default()) }
        });
        let dispatches = if index == 0 { plain } else { in_one.unwrap_or_default() };
        Ok(dispatches.into_iter().map(|dispatch| dispatch.chosen_by(&choice)).collect())
    }

    /// The question in a run's table of kernels: the columns of the layers involved, and the rows.
    fn question(&self, network: &Network, Passage { name, from, .. }: Passage) -> String {
        let layers = from..=self.encoder.depth();
        let encoder = layers.map(|layer| format!("{} to ", self.encoder_values.input_of(layer).columns()));
        let (columns, latents, rows) = (self.decoder.first_columns(), network.z.columns(), self.x.rows());
        format!("{name} {}{latents} to {columns}, {rows} rows", encoder.collect::<String>())
    }

    fn apart(&self, network: &Network, step: &Tensor, mode: Mode) -> Result<Vec<Dispatch>, Error> {
        let store = Epilogue::store(&network.posterior);
        let mut dispatches =
            self.encoder.forward_output(network.recording(step, 1, mode), &self.encoder_values, &store)?;
        dispatches.push(network.distribution.draw(network.at(step), network.draws(), &network.kl)?);
        let gradients = self.of_decoder();
        let (recording, first) = (network.recording(step, network.samples, mode), 0..1.min(self.decoder.depth()));
        dispatches.extend(self.decoder.forward_hidden(recording, &self.decoder_values, gradients, first)?);
        Ok(dispatches)
    }

    /// One kernel, if there is one for this model.
    fn fused(&self, network: &Network, step: &Tensor, mode: Mode) -> Result<Option<Dispatch>, Error> {
        let gradients = self.of_decoder();
        let decoder = self.decoder.dense_input(&network.vae.gpu, &self.decoder_values, gradients)?;
        let (Some(encoder), Some((decoder, epilogue))) = (self.encoder.dense_output(), &decoder) else {
            return Ok(None);
        };
        let hidden = self.encoder_values.input_of(self.encoder.depth());
        let around = Bottleneck { hidden, encoder, decoder, epilogue };
        network.distribution.bottleneck(
            network.recording(step, network.samples, mode),
            network.draws(),
            &network.kl,
            &around,
        )
    }

    fn apart_backward(&self, network: &Network, step: &Tensor, parameters: &Arena) -> Result<Vec<Dispatch>, Error> {
        let ([encoder, decoder], Gradients { dposterior, .. }) = (self.of_backward(), network.of_backward());
        let through = network.distribution.backward_epilogue(network.at(step), network.draws(), dposterior)?;
        let of_decoder = network.recording(step, network.samples, Mode::Training);
        let values = (&self.decoder_values, decoder);
        let mut dispatches =
            self.decoder.backward_layers(of_decoder, parameters, values, &self.output, Some(&through), 0..1)?;
        let (of_encoder, values) = (network.recording(step, 1, Mode::Training), (&self.encoder_values, encoder));
        dispatches.extend(self.encoder.backward(of_encoder, parameters, values, dposterior, None)?);
        Ok(dispatches)
    }

    /// A kernel for the gradients of the values, and one for those of the parameters of the two layers, and of the encoder's hidden
    /// layer if there is only one.
    fn fused_backward(
        &self,
        network: &Network,
        step: &Tensor,
        parameters: &Arena,
    ) -> Result<Option<Vec<Dispatch>>, Error> {
        let ([encoder, decoder], Gradients { dposterior, .. }) = (self.of_backward(), network.of_backward());
        let depth = self.encoder.depth();
        let hidden = self.encoder_values.input_of(depth);
        let first = self.decoder.first_gradient(&self.decoder_values, decoder);
        let through = self.encoder.through_last_hidden(encoder)?;
        let (Some(layer), Some(first), Some(epilogue)) = (self.encoder.dense_output(), first, &through) else {
            return Ok(None);
        };
        let recording = network.recording(step, network.samples, Mode::Training);
        let around = Bottleneck { hidden, encoder: layer, decoder: first.layer, epilogue };
        let chain =
            network.distribution.bottleneck_backward(recording, network.draws(), first.doutput, dposterior, &around)?;
        let Some(chain) = chain else { return Ok(None) };
        let own = WeightGradient { layer, input: hidden, doutput: dposterior };
        let (only, rest) = match self.encoder.first_gradient(&self.encoder_values, encoder) {
            Some(only) if depth == 1 => (Some(only), 0..0),
            _ => (None, 0..depth),
        };
        let mut dispatches = vec![chain, weight_gradients(recording, parameters, [Some(first), Some(own), only])?];
        let values = (&self.encoder_values, encoder);
        dispatches.extend(self.encoder.backward_layers(recording, parameters, values, dposterior, None, rest)?);
        Ok(Some(dispatches))
    }
}
