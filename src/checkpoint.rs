//! Models and trainings as safetensors files.
//!
//! A model file holds the parameters under their dotted names, weights as `(out, in)`, and the model's shape as JSON under
//! the metadata key `elbo`. A checkpoint holds Adam's moments as well (`moment1.*`, `moment2.*`) and how far the training
//! has come: all that resuming needs, in one file, so that no two files can disagree.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::TrainingConfig;
use crate::data::Dataset;
use crate::files::write_atomically;
use crate::gpu::{Arena, Gpu};
use crate::nn::ParameterSpec;
use crate::train::{Progress, Trainer};
use crate::vae::{Model, Vae};

/// The metadata key. There is only one: several would be written in an order that changes from run to run.
const KEY: &str = "elbo";

const MOMENT1: &str = "moment1.";
const MOMENT2: &str = "moment2.";

/// What stands under the metadata key.
#[derive(Serialize, Deserialize)]
struct Header {
    model: Model,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

impl Vae {
    /// Writes the model to a safetensors file, under a temporary name first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written; the old file is then untouched.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let values = download(&self.gpu, &self.specs, &self.parameters, "")?;
        write(path, &Header { model: self.model.clone(), progress: None }, &values)
    }

    /// Reads a model that [`Vae::save`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file is cut, is no safetensors file, was not written by Elbo, or holds other shapes than
    /// it says; [`Error::Io`] if it cannot be read.
    pub fn load(gpu: &Gpu, path: &Path) -> Result<Vae, Error> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let file = Checked::new(path, &bytes)?;
        let parameters = file.values("")?;
        let vae = Vae::zeros(gpu, file.header.model)?;
        upload(gpu, &vae.specs, &vae.parameters, &parameters)?;
        Ok(vae)
    }
}

/// The state of a training at one moment, in host memory: [`Trainer::snapshot`] takes it.
pub struct Checkpoint {
    model: Model,
    progress: Progress,
    parameters: Vec<Values>,
    /// Both of Adam's.
    moments: Vec<Values>,
}

impl Checkpoint {
    /// Writes all of it to a safetensors file, for [`Trainer::resume`], under a temporary name first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written; the old file is then untouched.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let header = Header { model: self.model.clone(), progress: Some(self.progress) };
        write(path, &header, self.parameters.iter().chain(&self.moments))
    }

    /// Writes the model alone, as [`Vae::save`] does.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::write`].
    pub fn write_model(&self, path: &Path) -> Result<(), Error> {
        write(path, &Header { model: self.model.clone(), progress: None }, &self.parameters)
    }
}

impl Trainer {
    /// Copies the state of the training from the GPU; it can be written while the training goes on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if the last update made a parameter NaN or infinite; [`Error::Gpu`] if the device was lost or
    /// memory ran out.
    pub fn snapshot(&self) -> Result<Checkpoint, Error> {
        let Vae { gpu, specs, parameters, model, .. } = self.vae();
        let parameters = download(gpu, specs, parameters, "")?;
        let (moment1, moment2) = self.moments();
        let mut moments = download(gpu, specs, moment1, MOMENT1)?;
        moments.extend(download(gpu, specs, moment2, MOMENT2)?);
        for (what, tensors) in [("a parameter", &parameters), ("a moment of Adam", &moments)] {
            if let Some(value) = tensors.iter().flat_map(|tensor| &tensor.values).find(|value| !value.is_finite()) {
                return Err(self.not_finite(what, *value));
            }
        }
        Ok(Checkpoint { model: model.clone(), progress: self.progress(), parameters, moments })
    }

    /// Goes on from a checkpoint: the run ends with the same bits as one that was never stopped, on the same adapter
    /// and with the same data and configuration.
    ///
    /// # Errors
    ///
    /// As [`Vae::load`], and [`Error::Format`] if it is a model without the state of a training.
    pub fn resume(gpu: &Gpu, data: &Dataset, config: &TrainingConfig, path: &Path) -> Result<Trainer, Error> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let file = Checked::new(path, &bytes)?;
        let Some(progress) = file.header.progress else {
            return Err(fault(path, "a checkpoint of a training", "a model without its training's state"));
        };
        let (parameters, moment1, moment2) = (file.values("")?, file.values(MOMENT1)?, file.values(MOMENT2)?);
        let vae = Vae::zeros(gpu, file.header.model)?;
        upload(gpu, &vae.specs, &vae.parameters, &parameters)?;
        let specs = vae.specs.clone();
        let trainer = Trainer::from_vae(vae, data, config, progress)?;
        let arenas = trainer.moments();
        upload(gpu, &specs, arenas.0, &moment1)?;
        upload(gpu, &specs, arenas.1, &moment2)?;
        Ok(trainer)
    }
}

/// A tensor on its way to a file.
struct Values {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn download(gpu: &Gpu, specs: &[ParameterSpec], arena: &Arena, prefix: &str) -> Result<Vec<Values>, Error> {
    let named = |(spec, values): (&ParameterSpec, Vec<f32>)| {
        let name = format!("{prefix}{}", spec.name);
        Values { name, shape: spec.shape(), values }
    };
    Ok(specs.iter().zip(arena.read(gpu)?).map(named).collect())
}

fn upload(gpu: &Gpu, specs: &[ParameterSpec], arena: &Arena, values: &[Vec<f32>]) -> Result<(), Error> {
    for (spec, values) in specs.iter().zip(values) {
        arena.get(&spec.name).write(gpu, values)?;
    }
    Ok(())
}

fn write<'a>(path: &Path, header: &Header, tensors: impl IntoIterator<Item = &'a Values>) -> Result<(), Error> {
    let invalid = |error: String| Error::io("write", path)(std::io::Error::other(error));
    let header = serde_json::to_string(header).map_err(|error| invalid(error.to_string()))?;
    let mut views = Vec::new();
    for Values { name, shape, values } in tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
        views.push((name, view.map_err(|error| invalid(error.to_string()))?));
    }
    let metadata = HashMap::from([(KEY.to_owned(), header)]);
    let bytes = serialize(views, Some(metadata)).map_err(|error| invalid(error.to_string()))?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// A file whose header was read and whose model could exist; its tensors are checked as they are taken.
struct Checked<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    header: Header,
}

impl<'a> Checked<'a> {
    fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Checked<'a>, Error> {
        let bad = |error| fault(path, "a whole safetensors file", &format!("{} bytes: {error}", bytes.len()));
        let tensors = SafeTensors::deserialize(bytes).map_err(bad)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(bad)?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let text = text.ok_or_else(|| fault(path, "a file that Elbo wrote", "no `elbo` in its metadata"))?;
        let header: Header = serde_json::from_str(text)
            .map_err(|error| fault(path, "a model's configuration in the metadata", &error.to_string()))?;
        let unfit = |error: Error| fault(path, "a model that can exist", &error.to_string());
        header.model.validate().map_err(unfit)?;
        Ok(Checked { path, tensors, header })
    }

    /// The values of all parameters, in order of registration, from the tensors of that prefix.
    fn values(&self, prefix: &str) -> Result<Vec<Vec<f32>>, Error> {
        self.header.model.parameters().iter().map(|spec| self.tensor(&format!("{prefix}{}", spec.name), spec)).collect()
    }

    fn tensor(&self, name: &str, spec: &ParameterSpec) -> Result<Vec<f32>, Error> {
        let shape = spec.shape();
        let Ok(view) = self.tensors.tensor(name) else {
            return Err(fault(self.path, &format!("a tensor `{name}` of shape {shape:?}"), "none"));
        };
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            let expected = format!("`{name}` as F32 {shape:?}");
            return Err(fault(self.path, &expected, &format!("{:?} {:?}", view.dtype(), view.shape())));
        }
        let values: Vec<f32> = bytemuck::allocation::pod_collect_to_vec(view.data());
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => {
                let found = format!("{} in `{name}` at {index}", values[index]);
                Err(fault(self.path, "finite values", &found))
            }
            None => Ok(values),
        }
    }
}

fn fault(path: &Path, expected: &str, found: &str) -> Error {
    Error::Format { path: path.to_owned(), expected: expected.to_owned(), found: found.to_owned() }
}
