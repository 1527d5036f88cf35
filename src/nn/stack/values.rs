//! The tensors of a stack: the values of a batch, and those of a backward pass.

use super::{Block, Stack};
use crate::Error;
use crate::gpu::{Gpu, Tensor};
use crate::nn::{Extent, NormValues};

/// The values inside a [`Stack`] for one batch.
#[derive(Debug)]
pub struct StackValues {
    /// The input of each layer, as the layer sees it; the last one is the output layer's.
    pub(super) inputs: Vec<Tensor>,
    pub(super) blocks: Vec<BlockValues>,
    /// The results of the shortcuts' projections.
    pub(super) projected: Vec<Option<Tensor>>,
}

#[derive(Debug)]
pub(super) struct BlockValues {
    pub output: Tensor,
    pub norm: Option<NormValues>,
}

/// The tensors of a backward pass through a [`Stack`], apart from the values: for each block the derivative of the
/// activation, which the forward pass stores, and the gradient with respect to the activation's input.
#[derive(Debug)]
pub struct StackGradients {
    pub(super) blocks: Vec<[Tensor; 2]>,
    /// The gradients with respect to the inputs of the shortcuts' projections.
    pub(super) projected: Vec<Option<Tensor>>,
}

impl StackValues {
    /// The input of a layer, by its number; the last one is the output layer's.
    pub fn input_of(&self, layer: usize) -> &Tensor {
        &self.inputs[layer]
    }
}

impl Stack {
    /// Makes the tensors for batches as large as `input`, `(B * samples * positions, channels)`.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn values(&self, gpu: &Gpu, input: &Tensor) -> Result<StackValues, Error> {
        let examples = input.rows() / self.product(0).input().rows();
        let zeros = |extent: Extent| extent.zeros(gpu, examples);
        let (mut inputs, mut blocks) = (Vec::new(), Vec::new());
        let mut last = input.clone();
        for block in &self.blocks {
            let layer = block.product.layer();
            inputs.push(last.reshaped(layer.input().matrix(examples))?);
            let rows = layer.output().matrix(examples)[0];
            let norm = block.norm.as_ref().map(|norm| norm.values(gpu, rows)).transpose()?;
            last = zeros(block.output())?;
            blocks.push(BlockValues { output: last.clone(), norm });
        }
        inputs.push(last.reshaped(self.output.layer().input().matrix(examples))?);
        let projected = self.projections().map(|layer| layer.map(|layer| zeros(layer.output())).transpose());
        Ok(StackValues { inputs, blocks, projected: projected.collect::<Result<_, _>>()? })
    }

    /// Makes the tensors for a backward pass through the values.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn gradients(&self, gpu: &Gpu, values: &StackValues) -> Result<StackGradients, Error> {
        let examples = values.inputs[0].rows() / self.product(0).input().rows();
        let zeros = |extent: Extent| extent.zeros(gpu, examples);
        let mut blocks = Vec::new();
        for Block { product, activation, .. } in &self.blocks {
            let gradient = zeros(product.layer().output())?;
            // The slope of what is linear is not stored.
            let slope = if activation.is_some() { zeros(product.layer().output())? } else { gradient.clone() };
            blocks.push([slope, gradient]);
        }
        let projected = self.projections().map(|layer| layer.map(|layer| zeros(layer.input())).transpose());
        Ok(StackGradients { blocks, projected: projected.collect::<Result<_, _>>()? })
    }
}
