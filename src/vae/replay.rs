//! The programs of inference over tensors of their own, for players that replay them elsewhere.

use super::{Network, Vae};
use crate::Error;
use crate::data::Images;
use crate::data::batch::DeviceExamples;
use crate::data::order::sequential;
use crate::gpu::{Program, Tensor};
use crate::likelihood::Pixels;
use crate::noise::Stream;
use crate::objective::ObjectiveConfig;
use crate::step::Step;

/// The programs of inference with a model of images. Each processes the rows that `step` says, up to the batch that they were made for.
#[derive(Debug)]
pub struct InferencePrograms {
    /// The step that the kernels read.
    pub step: Tensor,
    /// The images to encode, a byte per value, each row padded to whole words.
    pub bytes: Tensor,
    /// `(B, outputs)`: the posterior's parameters.
    pub posterior: Tensor,
    /// `(B, L)`.
    pub z: Tensor,
    /// `(B, D)`: the mean of p(x|z).
    pub pixels: Tensor,
    /// Runs once before `sample`, and again when the parameters have changed.
    pub before: Program,
    /// From `bytes` to `posterior`.
    pub encode: Program,
    /// From `z` to `pixels`.
    pub decode: Program,
    /// From draws of the prior, which it makes, to `z` and `pixels`.
    pub sample: Program,
}

impl Vae {
    /// Records the programs of inference for batches of up to `batch` images.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a model of text; [`Error::Config`] for a model of standardised values, which are not bytes;
    /// [`Error::Limit`] for sizes beyond the adapter's.
    pub fn inference_programs(&self, batch: usize) -> Result<InferencePrograms, Error> {
        let image = self.model.image()?;
        let standardised = self.model.config.standardisation.is_some();
        crate::error::require("--standardise", !standardised, "a model of bytes", "one of standardised values")?;
        let network = Network::evaluation(self, batch, &ObjectiveConfig::default())?;
        let blank = Images::new(vec![0; batch * image.dimensions()], batch, image)?;
        let on_device = self.upload((&blank).into(), Stream::BinariseEvaluation)?;
        let DeviceExamples::Images(images) = &on_device else { unreachable!("they are images") };
        let [bytes] = images.shards() else { return Err(too_large(batch)) };
        let order = Tensor::from_values(&self.gpu, 1, batch, &sequential(batch))?;
        let step = Step::tensor(&self.gpu)?;
        let pixels = Tensor::zeros(&self.gpu, batch, image.dimensions())?;
        let sample = network.sampling_step(&step, Pixels::Mean, &pixels)?;
        Ok(InferencePrograms {
            encode: network.encoding_step(&on_device, &step, &order)?.step,
            decode: network.decoding_step(&step, Pixels::Mean, &pixels)?.step,
            before: sample.before,
            sample: sample.step,
            bytes: bytes.clone(),
            posterior: network.posterior.clone(),
            z: network.z.clone(),
            step,
            pixels,
        })
    }
}

fn too_large(batch: usize) -> Error {
    let expected = "images of which a batch fits a binding".to_owned();
    Error::Argument { operation: "recording inference", expected, found: format!("{batch} that do not") }
}
