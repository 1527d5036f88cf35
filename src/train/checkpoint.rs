//! Trainings as safetensors files.
//!
//! A checkpoint has the parameters as in a model file, the optimiser's state (for Adam `moment1.*`, `moment2.*`) and
//! the progress of the training: everything that resuming needs, in one file, so that no two files can disagree.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Plan, Progress, Trainer};
use crate::Error;
use crate::config::TrainingConfig;
use crate::data::{DataRef, Fingerprint};
use crate::files::safetensors::{self, File, Values};
use crate::gpu::Gpu;
use crate::vae::{Model, Vae};

/// The metadata of a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    model: Model,
    progress: Option<Progress>,
    /// The data that it was trained on; older files do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Fingerprint>,
}

/// The state of a training at one moment, in host memory: [`Trainer::snapshot`] takes it.
#[derive(Debug)]
pub struct Checkpoint {
    model: Model,
    progress: Progress,
    data: Fingerprint,
    parameters: Vec<Values>,
    /// The optimiser's state.
    states: Vec<Values>,
}

impl Checkpoint {
    /// Writes it to a safetensors file, for [`Trainer::resume`], under a temporary name first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; the old file is then untouched.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let (model, progress, data) = (self.model.clone(), Some(self.progress), Some(self.data.clone()));
        let header = Header { model, progress, data };
        safetensors::write(path, &header, self.parameters.iter().chain(&self.states))
    }

    /// A tensor of the optimiser's state, such as `moment1.` before the name of a parameter.
    pub fn state(&self, name: &str) -> Option<&[f32]> {
        self.states.iter().find(|tensor| tensor.name == name).map(|tensor| tensor.values.as_slice())
    }

    /// Writes the model alone, as [`Vae::save`] does.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::write`].
    pub fn write_model(&self, path: &Path) -> Result<(), Error> {
        self.model.save(path, &self.parameters)
    }
}

impl Trainer {
    /// Copies the state of the training from the GPU; it can be written while the training goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Diverged`] if the last update made a parameter NaN or infinite; [`Error::Gpu`] if the device was lost or
    /// memory ran out.
    pub fn snapshot(&self) -> Result<Checkpoint, Error> {
        let gpu = self.vae.gpu();
        let (mut parameters, mut states) = (Vec::new(), Vec::new());
        for player in &self.step.players {
            parameters.extend(player.download(gpu)?);
            states.extend(player.download_states(gpu)?);
        }
        for (what, tensors) in [("a parameter", &parameters), ("the optimiser's state", &states)] {
            if let Some(value) = tensors.iter().flat_map(|tensor| &tensor.values).find(|value| !value.is_finite()) {
                return Err(self.not_finite(what, *value));
            }
        }
        let (model, progress, data) = (self.vae.model().clone(), self.progress, self.data.clone());
        Ok(Checkpoint { model, progress, data, parameters, states })
    }

    /// Continues from a checkpoint: the run ends with the same bits as one that was never stopped, on the same adapter
    /// and with the same data and configuration; [`Trainer::has_the_data_of_its_checkpoint`] compares the data.
    ///
    /// # Errors
    ///
    /// As [`Vae::load`], and [`Error::Format`] if it is a model without the state of a training.
    pub fn resume<'a>(
        gpu: &Gpu,
        data: impl Into<DataRef<'a>>,
        config: &TrainingConfig,
        path: &Path,
    ) -> Result<Trainer, Error> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let file = File::<Header>::new(path, &bytes)?;
        let model = file.header.model.clone();
        model.check_of(&file)?;
        let Some(progress) = file.header.progress else {
            return Err(file.fault("a checkpoint of a training", "a model without its training's state"));
        };
        let vae = Vae::of_file(gpu, model.clone(), &file)?;
        let plan = Plan::of_model(model, config, data)?;
        let mut trainer = Trainer::from_vae(vae, &plan, progress)?;
        trainer.begun_with = file.header.data.clone();
        for player in &trainer.step.players {
            player.upload_states(gpu, &file)?;
        }
        Ok(trainer)
    }
}
