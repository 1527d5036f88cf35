//! Products: the layers that have weights. Each is the only owner of its sizes, parameters and kernels.

use super::{Dense, Epilogue, ParameterSpec, Recording};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Tensor};

/// The size of one side of a product: the values of each example, as rows and columns of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Height and width of a grid of positions, each of which is a row; 1 x 1 for a vector.
    pub positions: [usize; 2],
    /// Values of each position: columns.
    pub channels: usize,
}

impl Extent {
    /// A vector of the given length.
    pub fn vector(channels: usize) -> Extent {
        Extent { positions: [1, 1], channels }
    }

    /// Rows of each sample of an example.
    pub fn rows(self) -> usize {
        self.positions[0] * self.positions[1]
    }
}

/// A layer with weights.
#[derive(Clone, Debug)]
pub enum Product {
    /// Each output is a weighted sum of all inputs.
    Dense(Dense),
}

/// The operations of every product. The documentation of a kind has its formulas.
pub trait Layer {
    /// The size of its input.
    fn input(&self) -> Extent;

    /// The size of its output.
    fn output(&self) -> Extent;

    /// Its parameters, with names below the layer's own.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// Floating-point operations of the forward pass for one sample of an example.
    fn flops(&self) -> f64;

    /// Records the product. The epilogue decides what happens to the result.
    ///
    /// # Shapes
    ///
    /// - `input`: `(B * samples * positions, channels)` of the input
    /// - the epilogue's result: `(B * samples * positions, channels)` of the output
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Vec<Dispatch>, Error>;

    /// Records the gradients with respect to the parameters, summed over the rows, and the gradient with respect to the
    /// input if there is an epilogue for it. The first are added to the stored ones if `recording.accumulate` is set.
    ///
    /// # Shapes
    ///
    /// - `input`, the epilogue's result: `(B * samples * positions, channels)` of the input
    /// - `doutput`: `(B * samples * positions, channels)` of the output
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors have other shapes.
    fn backward(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        input: &Tensor,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error>;
}

impl Product {
    /// The layer: the only place that lists the kinds.
    pub fn layer(&self) -> &dyn Layer {
        match self {
            Product::Dense(dense) => dense,
        }
    }
}
