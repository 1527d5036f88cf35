//! Programs as data, for players that replay them without this crate: shaders, pipelines, buffers, bindings, grids.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::shader::Access;
use super::{Gpu, Kernel, Program, Tensor};
use crate::Error;

/// A list of what programs need. Shaders, pipelines and buffers have numbers, and each is in it once.
#[derive(Debug, Default, Serialize)]
pub struct Listing {
    shaders: Vec<String>,
    pipelines: Vec<ListedPipeline>,
    /// The bytes of each buffer.
    buffers: Vec<u64>,
    #[serde(skip)]
    kernels: Vec<Arc<Kernel>>,
    #[serde(skip)]
    labels: Vec<String>,
    #[serde(skip)]
    tensors: Vec<Tensor>,
}

/// A pipeline of a listing.
#[derive(Debug, Serialize)]
struct ListedPipeline {
    shader: usize,
    entry: String,
    constants: BTreeMap<String, f64>,
    /// The index of each binding, and whether the kernel writes it.
    bindings: Vec<(u32, bool)>,
}

/// A dispatch of a listing.
#[derive(Clone, Debug, Serialize)]
pub struct ListedDispatch {
    pipeline: usize,
    /// For each of the pipeline's bindings, where its tensor is.
    bindings: Vec<(usize, u64, u64)>,
    grid: [u32; 3],
}

/// Where a tensor is: the number of its buffer, its first byte there, its rows and columns, and the words from one row to the next.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Place {
    buffer: usize,
    offset: u64,
    rows: usize,
    columns: usize,
    stride: usize,
}

impl Place {
    /// Whether it is in the buffer of this number.
    pub fn is_in(self, buffer: usize) -> bool {
        self.buffer == buffer
    }
}

impl Listing {
    /// Adds a program. Its dispatches must not read textures, which those of a [`Gpu`] that is used as in browsers do not.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if one reads a texture.
    pub fn add(&mut self, program: &Program) -> Result<Vec<ListedDispatch>, Error> {
        let of = |dispatch: &super::Dispatch| {
            let pipeline = self.pipeline(dispatch.kernel())?;
            let bindings = dispatch.tensors().map(|tensor| {
                let place = self.place(tensor);
                (place.buffer, place.offset, tensor.bytes())
            });
            Ok(ListedDispatch { pipeline, bindings: bindings.collect(), grid: dispatch.workgroups() })
        };
        program.dispatches().iter().map(of).collect()
    }

    /// Where a tensor is. Its buffer is added if it is not there yet.
    pub fn place(&mut self, tensor: &Tensor) -> Place {
        let found = self.tensors.iter().position(|other| other.shares_buffer(tensor));
        let buffer = found.unwrap_or_else(|| {
            let whole = tensor.whole_buffer();
            self.buffers.push(whole.bytes());
            self.tensors.push(whole);
            self.tensors.len() - 1
        });
        let (_, offset) = tensor.raw();
        let [rows, columns] = tensor.shape();
        Place { buffer, offset, rows, columns, stride: tensor.stride() }
    }

    /// The bytes of each buffer that is not all zeros, with its number.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn contents(&self, gpu: &Gpu) -> Result<Vec<(usize, Vec<u8>)>, Error> {
        let mut contents = Vec::new();
        for (number, tensor) in self.tensors.iter().enumerate() {
            let words = tensor.read::<u32>(gpu)?;
            if words.iter().any(|word| *word != 0) {
                contents.push((number, bytemuck::cast_slice(&words).to_vec()));
            }
        }
        Ok(contents)
    }

    fn pipeline(&mut self, kernel: &Arc<Kernel>) -> Result<usize, Error> {
        if let Some(number) = self.kernels.iter().position(|other| Arc::ptr_eq(other, kernel)) {
            return Ok(number);
        }
        let (shader, entry, overrides) = kernel.origin();
        let bindings = kernel.bindings.iter().map(|binding| match binding.access {
            Access::Texture => Err(Error::Argument {
                operation: "listing a program",
                expected: "kernels that read buffers".to_owned(),
                found: format!("{}, which reads a texture", kernel.label),
            }),
            access => Ok((binding.index, access == Access::Write)),
        });
        let bindings = bindings.collect::<Result<_, _>>()?;
        let number = self.labels.iter().position(|label| *label == shader.label).unwrap_or_else(|| {
            self.labels.push(shader.label.clone());
            self.shaders.push(shader.text().to_owned());
            self.labels.len() - 1
        });
        let constants = overrides.iter().cloned().collect();
        self.pipelines.push(ListedPipeline { shader: number, entry: entry.to_owned(), constants, bindings });
        self.kernels.push(Arc::clone(kernel));
        Ok(self.kernels.len() - 1)
    }
}
