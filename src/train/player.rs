//! A player is a unit of training, with its own parameters, gradients and optimiser.
//!
//! A variational autoencoder is one player.

use crate::Error;
use crate::files::safetensors::{File, Values};
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::nn::{self, ParameterSpec, Role};
use crate::optim::{Clip, OptimiserConfig, Update, UpdateRule, accumulate};
use crate::step::At;
use crate::vae::{download, upload, values};

/// Parameters in training.
#[derive(Debug)]
pub struct Player {
    specs: Vec<ParameterSpec>,
    parameters: Arena,
    /// The gradients of the last step.
    pub gradients: Arena,
    /// The gradients of a batch that is split into several steps.
    batch_gradients: Option<Arena>,
    rule: Box<dyn UpdateRule>,
    states: Vec<Arena>,
    clip: Option<Clip>,
    /// Words of the arenas that are the encoder's.
    encoder: usize,
}

impl Player {
    /// Makes the arenas for parameters, of which the first `encoder` are the encoder's, and whose batches are split into the given number
    /// of chunks.
    ///
    /// # Errors
    ///
    /// As [`Arena::zeros`].
    pub fn new(
        gpu: &Gpu,
        (specs, encoder): (&[ParameterSpec], usize),
        parameters: &Arena,
        optimiser: &OptimiserConfig,
        chunks: usize,
    ) -> Result<Player, Error> {
        let arena = || nn::arena(gpu, specs);
        let rule = optimiser.rule();
        Ok(Player {
            specs: specs.to_vec(),
            parameters: parameters.clone(),
            encoder: parameters.words_before(encoder),
            clip: Clip::new(gpu, parameters, optimiser.clip)?,
            gradients: arena()?,
            batch_gradients: if chunks > 1 { Some(arena()?) } else { None },
            states: rule.states().iter().map(|_| arena()).collect::<Result<_, _>>()?,
            rule,
        })
    }

    /// Records the sum of the gradients over the steps of a batch, if there are several.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernel cannot be made.
    pub fn accumulate(&self, at: At<'_>) -> Result<Vec<Dispatch>, Error> {
        self.batch_gradients.as_ref().map_or(Ok(Vec::new()), |total| accumulate(at, &self.gradients, total))
    }

    /// The gradients of a whole batch, which an update uses. Several processes would exchange them.
    pub fn batch_gradients(&self) -> &Arena {
        self.batch_gradients.as_ref().unwrap_or(&self.gradients)
    }

    /// Records the update, after the norm of the gradients if it is needed: `metrics`, `(steps, 4)`, gets it.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the kernel cannot be made.
    pub fn update(&self, at: At<'_>, metrics: &Tensor) -> Result<Vec<Dispatch>, Error> {
        let weights = self.specs.iter().filter(|spec| spec.role == Role::Weight);
        let weights: Vec<_> = weights.map(|spec| spec.name.as_str()).collect();
        let (parameters, gradients, states) = (&self.parameters, self.batch_gradients(), &self.states);
        let clip = self.clip.as_ref();
        let norm = clip.map(|clip| clip.record(at, gradients, metrics)).transpose()?;
        let of_all = Update { parameters, gradients, states, clip, weights: &weights, encoder: self.encoder };
        let update = self.rule.update(at, of_all)?;
        Ok(norm.into_iter().flatten().chain(update).collect())
    }

    /// The optimiser's state.
    pub(super) fn states(&self) -> &[Arena] {
        &self.states
    }

    /// The parameters, under their names.
    ///
    /// # Errors
    ///
    /// As [`Arena::read`].
    pub fn download(&self, gpu: &Gpu) -> Result<Vec<Values>, Error> {
        download(gpu, &self.specs, &self.parameters, "")
    }

    /// The optimiser's state, under the parameters' names with the state's name before them.
    ///
    /// # Errors
    ///
    /// As [`Arena::read`].
    pub fn download_states(&self, gpu: &Gpu) -> Result<Vec<Values>, Error> {
        let mut tensors = Vec::new();
        for (name, arena) in self.rule.states().iter().zip(&self.states) {
            tensors.extend(download(gpu, &self.specs, arena, &format!("{name}."))?);
        }
        Ok(tensors)
    }

    /// Reads the optimiser's state from a file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file does not contain it.
    pub fn upload_states<T: serde::de::DeserializeOwned>(&self, gpu: &Gpu, file: &File<'_, T>) -> Result<(), Error> {
        for (name, arena) in self.rule.states().iter().zip(&self.states) {
            upload(gpu, &self.specs, arena, &values(file, &self.specs, &format!("{name}."))?)?;
        }
        Ok(())
    }
}
