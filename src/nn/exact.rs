//! Networks on the CPU, whose results have the same bits on every machine.
//!
//! Sums are in index order, in `f32`, and no product is fused with a sum: Rust does neither by itself. Elementary functions are those of
//! `libm`, which are made of the same operations everywhere. One example is evaluated at a time, so that no batch changes its bits.

mod convolution;
mod layers;

use std::fmt::Debug;
use std::ops::Range;

pub(super) use convolution::ExactConvolution;
pub(super) use layers::{ExactDense, ExactNorm};

use super::Activation;
use crate::files::safetensors::Values;

/// The parameters of a model in host memory.
#[derive(Clone, Debug)]
pub struct HostParameters(Vec<Values>);

impl HostParameters {
    /// Parameters under their names.
    pub fn new(tensors: Vec<Values>) -> HostParameters {
        HostParameters(tensors)
    }

    /// The parameters, in the order of registration.
    pub fn tensors(&self) -> &[Values] {
        &self.0
    }

    /// The values of a parameter.
    ///
    /// # Panics
    ///
    /// If there is no such parameter: a bug, since the layers that registered them ask for them.
    pub fn get(&self, name: &str) -> &[f32] {
        let found = self.0.iter().find(|tensor| tensor.name == name);
        found.map(|tensor| tensor.values.as_slice()).unwrap_or_else(|| panic!("no parameter `{name}`"))
    }
}

/// A layer on the CPU: its output for one example.
pub trait Exact: Debug + Send + Sync {
    /// The output, without padding: `(positions, channels)`.
    fn evaluate(&self, input: &[f32]) -> Vec<f32>;
}

/// A block on the CPU.
#[derive(Debug)]
pub(super) struct ExactBlock {
    pub product: Box<dyn Exact>,
    pub norm: Option<ExactNorm>,
    pub activation: Option<Activation>,
}

/// A shortcut on the CPU: the blocks that it goes round, and the product on the way.
#[derive(Debug)]
pub(super) struct ExactShortcut {
    pub blocks: Range<usize>,
    pub projection: Option<Box<dyn Exact>>,
}

/// A stack on the CPU.
#[derive(Debug)]
pub struct ExactStack {
    pub(super) blocks: Vec<ExactBlock>,
    pub(super) shortcuts: Vec<ExactShortcut>,
    pub(super) output: Box<dyn Exact>,
}

impl ExactStack {
    /// The output of the last layer for one example.
    pub fn evaluate(&self, input: &[f32]) -> Vec<f32> {
        let mut values: Vec<Vec<f32>> = Vec::with_capacity(self.blocks.len());
        for (index, block) in self.blocks.iter().enumerate() {
            let before = |block: usize| block.checked_sub(1).map_or(input, |block| &values[block]);
            let mut result = block.product.evaluate(before(index));
            if let Some(norm) = &block.norm {
                norm.apply(&mut result);
            }
            if let Some(activation) = block.activation {
                result = activation.exact(&result);
            } else if let Some(shortcut) = self.shortcuts.iter().find(|shortcut| shortcut.blocks.end == index + 1) {
                let from = before(shortcut.blocks.start);
                let projected = shortcut.projection.as_ref().map(|projection| projection.evaluate(from));
                let brought = projected.as_deref().unwrap_or(from);
                result.iter_mut().zip(brought).for_each(|(value, other)| *value += other);
            }
            values.push(result);
        }
        self.output.evaluate(values.last().map_or(input, Vec::as_slice))
    }
}
