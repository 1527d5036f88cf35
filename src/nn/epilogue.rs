//! Epilogues: what a product does with its result instead of only storing it. The twin of `shaders/nn/epilogue.wgsl`.
//!
//! An epilogue is WGSL that a dense kernel imports, so that the two are one dispatch and the product itself is never
//! stored. Activations, likelihoods and the posterior's gradient are epilogues; a new one is fused without a new kernel.

use crate::Error;
use crate::gpu::{Gpu, Part, Source, Tensor, source};

const SOURCE: Source = source!("nn/epilogue.wgsl");

/// The WGSL of an epilogue with its overrides and tensors, for a result of `rows` by `columns`.
pub struct Epilogue {
    pub(super) source: Source,
    pub(super) overrides: Vec<(&'static str, f64)>,
    pub(super) tensors: Vec<(&'static str, Tensor)>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Epilogue {
    /// An epilogue for results of a shape, `[rows, columns]`, from its WGSL and what that binds.
    pub fn new(
        source: Source,
        [rows, columns]: [usize; 2],
        overrides: &[(&'static str, f64)],
        tensors: &[(&'static str, &Tensor)],
    ) -> Epilogue {
        let tensors = tensors.iter().map(|(name, tensor)| (*name, (*tensor).clone())).collect();
        Epilogue { source, overrides: overrides.to_vec(), tensors, rows, columns }
    }

    /// The epilogue that stores the result as it is.
    pub fn store(result: &Tensor) -> Epilogue {
        let columns = result.columns();
        let shape = [result.rows(), columns];
        Epilogue::new(SOURCE, shape, &[("COLUMNS", columns as f64)], &[("result", result)])
    }

    /// What fills the slot of a kernel that is no product.
    pub(super) fn part(&self) -> Part {
        let tensors: Vec<_> = self.tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        Part::new(self.source.clone(), &self.overrides, &tensors)
    }

    /// Columns of a row that one partial sum covers.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the header does not state it: a bug.
    pub fn block(gpu: &Gpu) -> Result<usize, Error> {
        Ok(gpu.shader(&source!("lib/matrix.wgsl"))?.constant("BLOCK")? as usize)
    }
}
