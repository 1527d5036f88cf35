//! Epilogues: what a product does with its result instead of only storing it. The twin of `shaders/nn/epilogue.wgsl`.
//!
//! An epilogue is WGSL that a dense kernel imports, so that the two are one dispatch and the product itself is never
//! stored. Activations, likelihoods and the posterior's gradient are epilogues; a new one is fused without a new kernel.

use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Gpu, Part, Source, Tensor, source};

pub(super) const SOURCE: Source = source!("nn/epilogue.wgsl");
const PLUS: Source = source!("nn/epilogue/plus.wgsl");
const ONTO: Source = source!("nn/epilogue/onto.wgsl");

/// The part for the slot `epilogue`, for a result of `rows` by `columns`.
#[derive(Clone, Debug)]
pub struct Epilogue {
    pub(super) part: Part,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Epilogue {
    /// An epilogue for results of a shape, `[rows, columns]`.
    pub fn new(part: Part, [rows, columns]: [usize; 2]) -> Epilogue {
        Epilogue { part, rows, columns }
    }

    /// The part for the slot.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// The epilogue that stores the result as it is.
    pub fn store(result: &Tensor) -> Epilogue {
        let part = Part::new(SOURCE).size("COLUMNS", result.columns()).bind("result", result);
        Epilogue::new(part, [result.rows(), result.columns()])
    }

    /// The epilogue that adds `shortcut` to the result and stores the sum.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes differ.
    pub fn plus(result: &Tensor, shortcut: &Tensor) -> Result<Epilogue, Error> {
        require_shapes("adding a shortcut", [result.shape()], [shortcut.shape()])?;
        let part = Part::new(PLUS).size("COLUMNS", result.columns()).bind("result", result).bind("shortcut", shortcut);
        Ok(Epilogue::new(part, result.shape()))
    }

    /// The epilogue that adds the result to what is stored.
    pub fn onto(result: &Tensor) -> Epilogue {
        let part = Part::new(ONTO).size("COLUMNS", result.columns()).bind("result", result);
        Epilogue::new(part, result.shape())
    }

    /// Columns of a row that one partial sum covers.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the header has no such constant: a bug.
    pub fn block(gpu: &Gpu) -> Result<usize, Error> {
        Ok(gpu.shader(&source!("lib/matrix.wgsl"))?.constant("BLOCK")? as usize)
    }
}
