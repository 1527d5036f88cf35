//! Safetensors files with one JSON value in their metadata.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::write_atomically;
use crate::Error;

/// The metadata key. There is only one: several would be written in an order that changes from run to run.
const KEY: &str = "elbo";

/// A tensor to be written to a file.
#[derive(Clone, Debug)]
pub struct Values {
    /// The dotted name.
    pub name: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub values: Vec<f32>,
}

/// Writes tensors and a header, under a temporary name first.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be written; the old file is then untouched.
pub fn write<'a>(
    path: &Path,
    header: &impl Serialize,
    tensors: impl IntoIterator<Item = &'a Values>,
) -> Result<(), Error> {
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

/// A file whose header was read; its tensors are checked when they are read.
#[derive(Debug)]
pub struct File<'a, Header> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    /// The JSON value in the metadata.
    pub header: Header,
}

impl<'a, Header: DeserializeOwned> File<'a, Header> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file is truncated, is not a safetensors file, or has no such header.
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Result<File<'a, Header>, Error> {
        let File { tensors, header, .. } = File::<Header>::foreign(path, bytes)?;
        let header = header.ok_or_else(|| fault(path, "a file that Elbo wrote", "no `elbo` in its metadata"))?;
        Ok(File { path, tensors, header })
    }

    /// Reads a file of another program, which may have no such header.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file is truncated, is not a safetensors file, or has another header.
    pub fn foreign(path: &'a Path, bytes: &'a [u8]) -> Result<File<'a, Option<Header>>, Error> {
        let bad = |error| fault(path, "a whole safetensors file", &format!("{} bytes: {error}", bytes.len()));
        let tensors = SafeTensors::deserialize(bytes).map_err(bad)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(bad)?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let header = text.map(|text| serde_json::from_str(text)).transpose();
        let header =
            header.map_err(|error| fault(path, "a model's configuration in the metadata", &error.to_string()))?;
        Ok(File { path, tensors, header })
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.names()
    }

    /// The elements of a tensor.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if there is no such tensor, it is not of that shape, or an element is NaN or infinite.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let Ok(view) = self.tensors.tensor(name) else {
            return Err(self.fault(&format!("a tensor `{name}` of shape {shape:?}"), "none"));
        };
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            let expected = format!("`{name}` as F32 {shape:?}");
            return Err(self.fault(&expected, &format!("{:?} {:?}", view.dtype(), view.shape())));
        }
        let values: Vec<f32> = bytemuck::allocation::pod_collect_to_vec(view.data());
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => {
                let found = format!("{} in `{name}` at {index}", values[index]);
                Err(self.fault("finite values", &found))
            }
            None => Ok(values),
        }
    }

    /// The error for a file with unexpected content.
    pub fn fault(&self, expected: &str, found: &str) -> Error {
        fault(self.path, expected, found)
    }
}

fn fault(path: &Path, expected: &str, found: &str) -> Error {
    Error::Format { path: path.to_owned(), expected: expected.to_owned(), found: found.to_owned() }
}
