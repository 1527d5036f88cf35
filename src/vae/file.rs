//! Models as safetensors files.
//!
//! A model file has the parameters under their dotted names, weights as `(out, in)`, and the model's shape as JSON
//! under the metadata key `elbo`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Model, Vae};
use crate::Error;
use crate::files::safetensors::{self, File, Values};
use crate::gpu::{Arena, Gpu};
use crate::nn::ParameterSpec;
use crate::nn::exact::HostParameters;

/// The metadata of a model file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) model: Model,
}

impl Model {
    /// The metadata of its files, as JSON: what another program has to write under the key `elbo` of a safetensors file.
    pub fn metadata(&self) -> String {
        serde_json::to_string(&Header { model: self.clone() }).expect("a model is JSON")
    }

    /// Writes the model with its parameters, those of [`Model::parameters`], to a safetensors file, under a temporary name first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; the old file is then untouched.
    pub fn save(&self, path: &Path, parameters: &[Values]) -> Result<(), Error> {
        safetensors::write(path, &Header { model: self.clone() }, parameters)
    }

    /// Checks that a file's model is valid.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if not.
    pub(crate) fn check_of<T: serde::de::DeserializeOwned>(&self, file: &File<'_, T>) -> Result<(), Error> {
        self.validate().map_err(|error| file.fault("a model that can exist", &error.to_string()))
    }
}

impl Model {
    /// Reads the description of a model alone.
    ///
    /// # Errors
    ///
    /// As [`Vae::load`].
    pub fn describe_file(path: &Path) -> Result<Model, Error> {
        let bytes = fs::read(path).map_err(Error::io("read the model", path))?;
        let file = File::<Header>::new(path, &bytes)?;
        file.header.model.check_of(&file)?;
        Ok(file.header.model.clone())
    }

    /// Reads a model and its parameters, for a use without a GPU.
    ///
    /// # Errors
    ///
    /// As [`Vae::load`].
    pub fn read(path: &Path, bytes: &[u8]) -> Result<(Model, HostParameters), Error> {
        let file = File::<Header>::new(path, bytes)?;
        let model = file.header.model.clone();
        model.check_of(&file)?;
        let read = |spec: ParameterSpec| {
            let values = file.values(&spec.name, &spec.shape)?;
            Ok(Values { name: spec.name, shape: spec.shape, values })
        };
        let tensors = model.parameters().into_iter().map(read).collect::<Result<_, Error>>()?;
        Ok((model, HostParameters::new(tensors)))
    }
}

impl Vae {
    /// Writes the model to a safetensors file, under a temporary name first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; the old file is then untouched.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        self.model.save(path, &download(&self.gpu, &self.specs, &self.parameters, "")?)
    }

    /// Reads a model that [`Vae::save`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file is truncated, is not a safetensors file, was not written by Elbo, or has tensors
    /// of other shapes than it states; [`Error::Io`] if it cannot be read.
    pub fn load(gpu: &Gpu, path: &Path) -> Result<Vae, Error> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let file = File::<Header>::new(path, &bytes)?;
        file.header.model.check_of(&file)?;
        Vae::of_file(gpu, file.header.model.clone(), &file)
    }

    /// A model with the parameters of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file has tensors of other shapes.
    pub(crate) fn of_file<T: serde::de::DeserializeOwned>(
        gpu: &Gpu,
        model: Model,
        file: &File<'_, T>,
    ) -> Result<Vae, Error> {
        let specs = model.parameters();
        let parameters = values(file, &specs, "")?;
        let vae = Vae::zeros(gpu, model)?;
        upload(gpu, &specs, &vae.parameters, &parameters)?;
        Ok(vae)
    }
}

/// The values of all parameters, in order of registration, from the tensors of a prefix.
///
/// # Errors
///
/// As [`File::values`].
pub(crate) fn values<T: serde::de::DeserializeOwned>(
    file: &File<'_, T>,
    specs: &[ParameterSpec],
    prefix: &str,
) -> Result<Vec<Vec<f32>>, Error> {
    specs.iter().map(|spec| file.values(&format!("{prefix}{}", spec.name), &spec.shape)).collect()
}

/// The tensors of an arena, under names with a prefix.
///
/// # Errors
///
/// As [`Arena::read`].
pub(crate) fn download(gpu: &Gpu, specs: &[ParameterSpec], arena: &Arena, prefix: &str) -> Result<Vec<Values>, Error> {
    let named = |(spec, values): (&ParameterSpec, Vec<f32>)| {
        let name = format!("{prefix}{}", spec.name);
        Values { name, shape: spec.shape.clone(), values }
    };
    Ok(specs.iter().zip(arena.read(gpu)?).map(named).collect())
}

/// Writes the values of all parameters, in order of registration, to an arena.
///
/// # Errors
///
/// [`Error::Argument`] if the arena was not made from the same specs.
pub(crate) fn upload(gpu: &Gpu, specs: &[ParameterSpec], arena: &Arena, values: &[Vec<f32>]) -> Result<(), Error> {
    for (spec, values) in specs.iter().zip(values) {
        arena.get(&spec.name).write(gpu, values)?;
    }
    Ok(())
}
