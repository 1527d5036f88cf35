//! Products: the layers of a stack, most of which have weights. Each is the only owner of its sizes, parameters and kernels.

use super::exact::{Exact, HostParameters};
use super::{Convolution, Dense, Epilogue, Identity, ParameterSpec, Recording, Resize};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};
use crate::graph::{Graph, Value};

/// The size of one side of a layer: the values of each example.
///
/// The channels of a position are adjacent: an example is `(height, width, channels)`. Its values are a matrix in one of two ways,
/// which are the same in memory if the channels are whole quads: a row for each position, or, packed, one row for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Height and width of a grid of positions; 1 x 1 for a vector.
    pub positions: [usize; 2],
    /// Values of each position.
    pub channels: usize,
    /// Whether an example is one row. Images are, whose channels may be any number.
    pub packed: bool,
}

impl Extent {
    /// A vector of the given length.
    pub fn vector(channels: usize) -> Extent {
        Extent { positions: [1, 1], channels, packed: true }
    }

    /// Rows of each sample of an example.
    pub fn rows(self) -> usize {
        if self.packed { 1 } else { self.positions[0] * self.positions[1] }
    }

    /// Values of each sample of an example.
    pub fn len(self) -> usize {
        self.positions[0] * self.positions[1] * self.channels
    }

    /// The same with the channels of each position padded to whole quads.
    pub fn padded_len(self) -> usize {
        self.positions[0] * self.positions[1] * self.channels.next_multiple_of(4)
    }

    /// A tensor of zeros for the given number of examples, their samples included.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn zeros(self, gpu: &Gpu, examples: usize) -> Result<Tensor, Error> {
        let [rows, columns] = self.matrix(examples);
        Tensor::zeros(gpu, rows, columns)
    }

    /// Channels, height and width: a grid's shape in other libraries.
    pub(super) fn grid(self) -> [usize; 3] {
        [self.channels, self.positions[0], self.positions[1]]
    }

    /// Whether there is no value: a window that is larger than its grid has no position.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The shape of a tensor with the given number of examples, their samples included.
    pub fn matrix(self, examples: usize) -> [usize; 2] {
        [examples * self.rows(), self.len() / self.rows().max(1)]
    }
}

/// A layer.
#[derive(Clone, Debug)]
pub enum Product {
    /// Each output is a weighted sum of all inputs.
    Dense(Dense),
    /// Each output is a weighted sum of a window of the inputs, or the other way round.
    Convolution(Convolution),
    /// A grid of another size.
    Resize(Resize),
    /// The input as it is.
    Identity(Identity),
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

    /// The layer on the CPU.
    fn exact(&self, parameters: &HostParameters) -> Box<dyn Exact>;

    /// Adds the layer to a graph.
    fn describe(&self, graph: &mut Graph, input: Value) -> Value;

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

/// Checks that tensors have the sizes of a layer's input and output, for the same number of examples.
pub(super) fn check(
    layer: &dyn Layer,
    operation: &'static str,
    input: [usize; 2],
    output: [usize; 2],
) -> Result<(), Error> {
    let examples = input[0] / layer.input().rows().max(1);
    let expected = [layer.input(), layer.output()].map(|extent| extent.matrix(examples));
    require_shapes(operation, expected, [input, output])
}

impl Product {
    /// The layer: the only place that lists the kinds.
    pub fn layer(&self) -> &dyn Layer {
        match self {
            Product::Dense(dense) => dense,
            Product::Convolution(convolution) => convolution,
            Product::Resize(resize) => resize,
            Product::Identity(identity) => identity,
        }
    }
}
