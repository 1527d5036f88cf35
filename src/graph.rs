//! Computations as lists of operations, for writers of other programs' formats.
//!
//! Each part of a model adds its own operations to a [`Graph`], in the form that they have in evaluation. The writers in
//! [`crate::export`] turn the list into ONNX or into PyTorch, a page in the browser runs it as it is, and none of them knows a part. A shape here leaves out the batch, which is the first
//! axis of every value. Grids are (channels, height, width), as other libraries have them; images and other rows are
//! (height, width, channels), as everywhere else in this crate.

use serde::Serialize;

/// A computation on batches of inputs.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Graph {
    nodes: Vec<Node>,
    #[serde(skip)]
    lines: usize,
}

/// A value of a graph: the result of one of its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Value(usize);

/// An operation with its inputs and its result.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// What is computed.
    pub operation: Operation,
    /// From what.
    pub inputs: Vec<Value>,
    /// The shape of the result, without the batch.
    pub shape: Vec<usize>,
    /// The name of the result, if it has one. A result without a name is used once.
    pub name: Option<String>,
}

/// The operations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Operation {
    /// An input of the graph, under its name.
    Input,
    /// Numbers, which every example of the batch has in common; one number if the shape is empty.
    Constant(Vec<f32>),
    /// `weight x + bias` over the last axis, with the parameters `layer.weight`, `(outputs, inputs)`, and `layer.bias`.
    Dense {
        /// The layer's name.
        layer: String,
    },
    /// A convolution of a grid; with [`Moves::output_padding`], a transposed one. Its parameters are `layer.weight`,
    /// `(small channels, kernel, kernel, large channels)`, and `layer.bias`.
    Convolution {
        /// The layer's name.
        layer: String,
        /// How its window moves.
        moves: Moves,
    },
    /// `scale (x - mean) / sqrt(variance + 1e-5) + shift` for each channel, with the four as rows of a parameter.
    BatchNorm {
        /// The parameter's name.
        parameter: String,
    },
    /// The same with the mean and the variance over the channels, of each position by itself; the parameter has the rows scale and
    /// shift.
    LayerNorm {
        /// The parameter's name.
        parameter: String,
    },
    /// The mean of each square of that many positions; those left over at the end are not used.
    Pool(usize),
    /// Each position that many times along both axes, to the size of the result. The last ones are repeated if it is larger.
    Enlarge(usize),
    /// A function of one value.
    Apply(Function),
    /// At least the first number and at most the second one, if there is one.
    Clamp(f32, Option<f32>),
    /// A function of two values, the shorter one repeated for the other's leading axes.
    Combine(Arithmetic),
    /// Every `step`-th of the channels from `start` to `end`.
    Slice {
        /// The first one.
        start: usize,
        /// Before this one, it ends.
        end: usize,
        /// From one to the next.
        step: usize,
    },
    /// The same numbers in another shape.
    Reshape,
    /// The axes in another order; they are counted from 0, without the batch.
    Permute([usize; 3]),
    /// The sum over the last axis.
    Sum,
}

/// The window of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// Positions along each axis.
    pub kernel: usize,
    /// From one window to the next.
    pub stride: usize,
    /// Zeros around the larger grid.
    pub padding: usize,
    /// For a transposed convolution: positions of the larger grid that no window reaches, at the end of each axis.
    pub output_padding: Option<[usize; 2]>,
}

/// The functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Function {
    /// `max(x, 0)`
    Relu,
    /// `x`, or `0.01 x` where x is negative.
    LeakyRelu,
    /// `x`, or `exp(x) - 1` where x is negative.
    Elu,
    /// `x sigmoid(x)`
    Silu,
    /// `x Phi(x)`
    Gelu,
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `log(1 + exp(x))`
    Softplus,
    /// `exp(x)`
    Exp,
    /// Each even channel times the sigmoid of the one after it.
    Gated,
    /// `exp(x)` over its sum along the last axis.
    Softmax,
}

/// The functions of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Arithmetic {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a b`
    Multiply,
    /// `a / b`
    Divide,
}

impl Graph {
    /// The node that makes a value.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.0]
    }

    /// The name of a value, or that of its layer, or one that no other value has.
    pub fn name(&self, value: Value) -> String {
        let node = self.node(value);
        match (&node.name, &node.operation) {
            (Some(name), _) => name.clone(),
            (_, Operation::Dense { layer: name } | Operation::Convolution { layer: name, .. }) => name.clone(),
            (_, Operation::BatchNorm { parameter: name } | Operation::LayerNorm { parameter: name }) => name.clone(),
            _ => format!("v{}", value.0),
        }
    }

    /// The values that some of them need, themselves included, each after its inputs.
    pub fn needed(&self, outputs: &[Value]) -> Vec<Value> {
        let mut needed = vec![false; self.nodes.len()];
        outputs.iter().for_each(|output| needed[output.0] = true);
        for index in (0..self.nodes.len()).rev() {
            if needed[index] {
                self.nodes[index].inputs.iter().for_each(|input| needed[input.0] = true);
            }
        }
        (0..self.nodes.len()).filter(|index| needed[*index]).map(Value).collect()
    }

    /// Adds an input.
    pub fn input(&mut self, name: &str, shape: Vec<usize>) -> Value {
        let input = self.push(Operation::Input, &[], shape);
        self.named(input, name)
    }

    /// Gives a value a name, under which other programs show it.
    pub fn named(&mut self, value: Value, name: &str) -> Value {
        self.nodes[value.0].name = Some(name.to_owned());
        value
    }

    /// Gives a value that may be used more than once a name: `h1`, `h2` and so on. A name that is there stays.
    pub fn line(&mut self, value: Value) -> Value {
        if self.nodes[value.0].name.is_none() {
            self.lines += 1;
            self.nodes[value.0].name = Some(format!("h{}", self.lines));
        }
        value
    }

    /// Adds one number.
    pub fn number(&mut self, number: f32) -> Value {
        self.push(Operation::Constant(vec![number]), &[], Vec::new())
    }

    /// Adds a vector of numbers.
    pub fn numbers(&mut self, numbers: Vec<f32>) -> Value {
        let shape = vec![numbers.len()];
        self.push(Operation::Constant(numbers), &[], shape)
    }

    /// Adds a layer with the given number of outputs. A grid becomes a row first.
    pub fn dense(&mut self, layer: &str, input: Value, outputs: usize) -> Value {
        let row = self.as_row(input);
        let row = if row == input { row } else { self.line(row) };
        self.push(Operation::Dense { layer: layer.to_owned() }, &[row], vec![outputs])
    }

    /// Adds a convolution, or a transposed one, to a grid. `from` is the size of its input, as for [`Graph::as_grid`].
    pub fn convolution(&mut self, layer: &str, input: Value, moves: Moves, from: [usize; 3], to: [usize; 3]) -> Value {
        let input = self.as_grid(input, from);
        self.push(Operation::Convolution { layer: layer.to_owned(), moves }, &[input], to.to_vec())
    }

    /// Adds an operation whose result has another grid's size; `from` as for [`Graph::as_grid`].
    pub fn resize(&mut self, operation: Operation, input: Value, from: [usize; 3], to: [usize; 3]) -> Value {
        let input = self.as_grid(input, from);
        self.push(operation, &[input], to.to_vec())
    }

    /// Adds an operation whose result has the shape of its input.
    pub fn alike(&mut self, operation: Operation, input: Value) -> Value {
        let shape = self.node(input).shape.clone();
        self.push(operation, &[input], shape)
    }

    /// Adds a function of one value.
    pub fn apply(&mut self, function: Function, input: Value) -> Value {
        let mut shape = self.node(input).shape.clone();
        if function == Function::Gated {
            shape[0] /= 2;
        }
        self.push(Operation::Apply(function), &[input], shape)
    }

    /// Adds a function of two values.
    ///
    /// # Panics
    ///
    /// If their shapes do not fit: a bug.
    pub fn combine(&mut self, function: Arithmetic, a: Value, b: Value) -> Value {
        let [of_a, of_b] = [a, b].map(|value| self.node(value).shape.clone());
        let longer = if of_a.len() >= of_b.len() { &of_a } else { &of_b };
        let mut shape = longer.clone();
        for (axis, size) in shape.iter_mut().rev().enumerate() {
            let of = |shape: &[usize]| shape.iter().rev().nth(axis).copied().unwrap_or(1);
            let sizes = [of(&of_a), of(&of_b)];
            assert!(sizes[0] == sizes[1] || sizes.contains(&1), "shapes that do not fit: {of_a:?} and {of_b:?}");
            *size = sizes[0].max(sizes[1]);
        }
        self.push(Operation::Combine(function), &[a, b], shape)
    }

    /// Adds a slice of a row, or of the channels of a grid.
    pub fn slice(&mut self, input: Value, start: usize, end: usize, step: usize) -> Value {
        let mut shape = self.node(input).shape.clone();
        shape[0] = (end - start).div_ceil(step);
        self.push(Operation::Slice { start, end, step }, &[input], shape)
    }

    /// Adds the sum over the last axis.
    pub fn sum(&mut self, input: Value) -> Value {
        let mut shape = self.node(input).shape.clone();
        shape.pop();
        self.push(Operation::Sum, &[input], shape)
    }

    /// Adds the same numbers in another shape; of several such changes the last one is left.
    pub fn reshape(&mut self, input: Value, shape: &[usize]) -> Value {
        let node = self.node(input);
        let input = if node.operation == Operation::Reshape && node.name.is_none() { node.inputs[0] } else { input };
        if self.node(input).shape == shape {
            return input;
        }
        self.push(Operation::Reshape, &[input], shape.to_vec())
    }

    /// A row (height, width, channels), of a grid or of a row.
    pub fn as_row(&mut self, input: Value) -> Value {
        let [channels, height, width] = self.node(input).shape[..] else { return input };
        let last = self.push(Operation::Permute([1, 2, 0]), &[input], vec![height, width, channels]);
        self.reshape(last, &[height * width * channels])
    }

    /// A grid of the given channels, height and width, of a grid or of a row.
    pub fn as_grid(&mut self, input: Value, size: [usize; 3]) -> Value {
        if self.node(input).shape == size {
            return input;
        }
        let [channels, height, width] = size;
        let last = self.reshape(input, &[height, width, channels]);
        let grid = self.push(Operation::Permute([2, 0, 1]), &[last], size.to_vec());
        self.line(grid)
    }

    fn push(&mut self, operation: Operation, inputs: &[Value], shape: Vec<usize>) -> Value {
        self.nodes.push(Node { operation, inputs: inputs.to_vec(), shape, name: None });
        Value(self.nodes.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_from_the_operations() {
        let mut graph = Graph::default();
        let x = graph.input("x", vec![4, 6, 3]);
        let row = graph.reshape(x, &[72]);
        let grid = graph.as_grid(row, [3, 4, 6]);
        assert_eq!(graph.node(grid).inputs, [x], "only the order of the axes changes");
        let dense = graph.dense("dense", grid, 10);
        assert_eq!(graph.node(graph.node(dense).inputs[0]).shape, [72]);
        let levels = graph.numbers(vec![0.0; 5]);
        let column = graph.reshape(dense, &[10, 1]);
        let differences = graph.combine(Arithmetic::Subtract, column, levels);
        assert_eq!(graph.node(differences).shape, [10, 5]);
        let sum = graph.sum(differences);
        let half = graph.slice(sum, 1, 10, 2);
        assert_eq!(graph.node(half).shape, [5]);
        let named = graph.named(half, "mean");
        let line = graph.line(named);
        assert_eq!(graph.node(line).name.as_deref(), Some("mean"));
    }
}
