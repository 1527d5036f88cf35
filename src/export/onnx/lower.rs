//! The operations of a graph as those of ONNX.

use super::{Operation, Writer, float, integer, integers, text};
use crate::graph::{self, Arithmetic, Function, Moves, Node, Value};

/// Added to variances.
const VARIANCE_EPSILON: f32 = 1e-5;

impl Writer<'_> {
    /// Adds the operations that make a value from its inputs.
    pub(super) fn lower(&mut self, value: Value) {
        let (node, output) = (self.graph.node(value), self.graph.name(value));
        let inputs: Vec<String> = node.inputs.iter().map(|input| self.graph.name(*input)).collect();
        match &node.operation {
            graph::Operation::Input => {}
            graph::Operation::Constant(numbers) => drop(self.floats(output, &node.shape, numbers)),
            graph::Operation::Dense { layer } => self.dense(layer, inputs, output, node),
            graph::Operation::Convolution { layer, moves } => self.convolution(layer, *moves, inputs, output, node),
            graph::Operation::BatchNorm { parameter } => self.batch_norm(parameter, inputs, output, node),
            graph::Operation::LayerNorm { parameter } => self.layer_norm(parameter, inputs, output, node),
            graph::Operation::Pool(factor) => {
                let window = ["kernel_shape", "strides"].map(|name| integers(name, &[*factor; 2]));
                self.simple("AveragePool", inputs, output, node, window.to_vec());
            }
            graph::Operation::Enlarge(factor) => self.enlarge(*factor, inputs, output, node),
            graph::Operation::Apply(function) => self.apply(*function, inputs, output, node),
            graph::Operation::Clamp(min, max) => {
                let mut inputs = inputs;
                inputs.push(self.floats(format!("{output}.min"), &[], &[*min]));
                inputs.extend(max.map(|max| self.floats(format!("{output}.max"), &[], &[max])));
                self.simple("Clip", inputs, output, node, Vec::new());
            }
            graph::Operation::Combine(arithmetic) => {
                let kind = match arithmetic {
                    Arithmetic::Add => "Add",
                    Arithmetic::Subtract => "Sub",
                    Arithmetic::Multiply => "Mul",
                    Arithmetic::Divide => "Div",
                };
                self.simple(kind, inputs, output, node, Vec::new());
            }
            graph::Operation::Slice { start, end, step } => {
                self.slice(inputs, output, &node.shape, [*start, *end, *step]);
            }
            graph::Operation::Reshape => {
                // 0 keeps the batch.
                let shape: Vec<i64> = [0].into_iter().chain(node.shape.iter().map(|size| *size as i64)).collect();
                let shape = self.integers(format!("{output}.shape"), &shape);
                self.simple("Reshape", [inputs, vec![shape]].concat(), output, node, Vec::new());
            }
            graph::Operation::Permute(axes) => {
                let axes = integers("perm", &[0, axes[0] + 1, axes[1] + 1, axes[2] + 1]);
                self.simple("Transpose", inputs, output, node, vec![axes]);
            }
            graph::Operation::Sum => {
                let axes = self.integers(format!("{output}.axes"), &[-1]);
                let attributes = vec![integer("keepdims", 0)];
                self.simple("ReduceSum", [inputs, vec![axes]].concat(), output, node, attributes);
            }
        }
    }

    /// An operation that makes a node's value.
    fn simple(
        &mut self,
        kind: &str,
        inputs: Vec<String>,
        output: String,
        node: &Node,
        attributes: Vec<super::AttributeProto>,
    ) {
        self.node(Operation { kind, name: None, inputs, output, shape: &node.shape, attributes });
    }

    fn dense(&mut self, layer: &str, mut inputs: Vec<String>, output: String, node: &Node) {
        let (weight, bias) = (format!("{layer}.weight"), format!("{layer}.bias"));
        let values = self.parameters.get(&weight);
        inputs.push(self.floats(weight, &[node.shape[0], values.len() / node.shape[0]], values));
        inputs.push(self.floats(bias.clone(), &node.shape, self.parameters.get(&bias)));
        // The weight is (outputs, inputs).
        let attributes = vec![integer("transB", 1)];
        self.node(Operation { kind: "Gemm", name: Some(layer), inputs, output, shape: &node.shape, attributes });
    }

    fn convolution(&mut self, layer: &str, moves: Moves, mut inputs: Vec<String>, output: String, node: &Node) {
        let Moves { kernel, stride, padding, output_padding } = moves;
        let from = self.graph.node(node.inputs[0]).shape[0];
        let (small, large) = if output_padding.is_some() { (from, node.shape[0]) } else { (node.shape[0], from) };
        let (weight, bias) = (format!("{layer}.weight"), format!("{layer}.bias"));
        let values = self.parameters.get(&weight);
        // From (small, kernel, kernel, large): both kinds have the channels of the small grid first.
        let area = kernel * kernel;
        let at = |o: usize, i: usize, tap: usize| values[(o * area + tap) * large + i];
        let each = |o: usize| (0..large).flat_map(move |i| (0..area).map(move |tap| at(o, i, tap)));
        let values: Vec<f32> = (0..small).flat_map(each).collect();
        inputs.push(self.floats(weight, &[small, large, kernel, kernel], &values));
        inputs.push(self.floats(bias.clone(), &node.shape[..1], self.parameters.get(&bias)));
        let mut attributes = vec![
            integers("kernel_shape", &[kernel; 2]),
            integers("strides", &[stride; 2]),
            integers("pads", &[padding; 4]),
        ];
        attributes.extend(output_padding.map(|rest| integers("output_padding", &rest)));
        let kind = if output_padding.is_some() { "ConvTranspose" } else { "Conv" };
        self.node(Operation { kind, name: Some(layer), inputs, output, shape: &node.shape, attributes });
    }

    /// The rows of a normalisation's parameter, each as a vector of its own.
    fn rows(&mut self, parameter: &str, names: &[&str], width: usize) -> Vec<String> {
        let rows = self.parameters.get(parameter).chunks_exact(width);
        names.iter().zip(rows).map(|(name, row)| self.floats(format!("{parameter}.{name}"), &[width], row)).collect()
    }

    fn batch_norm(&mut self, parameter: &str, inputs: Vec<String>, output: String, node: &Node) {
        let rows = self.rows(parameter, &["scale", "shift", "mean", "variance"], node.shape[0]);
        let inputs = [inputs, rows].concat();
        let attributes = vec![float("epsilon", VARIANCE_EPSILON)];
        let (kind, shape) = ("BatchNormalization", node.shape.as_slice());
        self.node(Operation { kind, name: Some(parameter), inputs, output, shape, attributes });
    }

    fn layer_norm(&mut self, parameter: &str, inputs: Vec<String>, output: String, node: &Node) {
        let rows = self.rows(parameter, &["scale", "shift"], node.shape[0]);
        let attributes = vec![integer("axis", -1), float("epsilon", VARIANCE_EPSILON)];
        let (kind, name) = ("LayerNormalization", Some(parameter));
        let [channels, height, width] = node.shape[..] else {
            let inputs = [inputs, rows].concat();
            return self.node(Operation { kind, name, inputs, output, shape: &node.shape, attributes });
        };
        // The operator is for the last axis.
        let shape = &[height, width, channels];
        let [last, normal] = ["last", "normal"].map(|name| format!("{output}.{name}"));
        let to = vec![integers("perm", &[0, 2, 3, 1])];
        self.node(Operation { kind: "Transpose", name: None, inputs, output: last.clone(), shape, attributes: to });
        let inputs = [vec![last], rows].concat();
        self.node(Operation { kind, name, inputs, output: normal.clone(), shape, attributes });
        self.simple("Transpose", vec![normal], output, node, vec![integers("perm", &[0, 3, 1, 2])]);
    }

    fn enlarge(&mut self, factor: usize, inputs: Vec<String>, output: String, node: &Node) {
        let from = &self.graph.node(node.inputs[0]).shape;
        let [channels, height, width] = node.shape[..] else { unreachable!("a grid is enlarged") };
        if [factor * from[1], factor * from[2]] == [height, width] {
            let scale = factor as f32;
            let scales = self.floats(format!("{output}.scales"), &[4], &[1.0, 1.0, scale, scale]);
            let attributes = vec![
                text("mode", "nearest"),
                text("coordinate_transformation_mode", "asymmetric"),
                text("nearest_mode", "floor"),
            ];
            let inputs = [inputs, vec![String::new(), scales]].concat();
            return self.simple("Resize", inputs, output, node, attributes);
        }
        // A size that is no multiple: the positions that each axis is taken from.
        let taken = |to: usize, from: usize| (0..to).map(|n| (n / factor).min(from - 1) as i64).collect::<Vec<_>>();
        let rows = self.integers(format!("{output}.rows"), &taken(height, from[1]));
        let columns = self.integers(format!("{output}.columns"), &taken(width, from[2]));
        let (higher, shape) = (format!("{output}.higher"), &[channels, height, from[2]]);
        let (inputs, attributes) = ([inputs, vec![rows]].concat(), vec![integer("axis", 2)]);
        self.node(Operation { kind: "Gather", name: None, inputs, output: higher.clone(), shape, attributes });
        self.simple("Gather", vec![higher, columns], output, node, vec![integer("axis", 3)]);
    }

    fn slice(&mut self, mut inputs: Vec<String>, output: String, shape: &[usize], [start, end, step]: [usize; 3]) {
        for (name, value) in [("start", start), ("end", end), ("axis", 1), ("step", step)] {
            inputs.push(self.integers(format!("{output}.{name}"), &[value as i64]));
        }
        self.node(Operation { kind: "Slice", name: None, inputs, output, shape, attributes: Vec::new() });
    }

    fn apply(&mut self, function: Function, inputs: Vec<String>, output: String, node: &Node) {
        let attributes = match function {
            Function::LeakyRelu => vec![float("alpha", 0.01)],
            Function::Softmax => vec![integer("axis", -1)],
            _ => Vec::new(),
        };
        let kind = match function {
            Function::Relu => "Relu",
            Function::LeakyRelu => "LeakyRelu",
            Function::Elu => "Elu",
            Function::Tanh => "Tanh",
            Function::Sigmoid => "Sigmoid",
            Function::Softplus => "Softplus",
            Function::Exp => "Exp",
            Function::Softmax => "Softmax",
            Function::Silu => {
                let sigmoid = self.step("Sigmoid", inputs.clone(), format!("{output}.sigmoid"), node);
                return self.simple("Mul", [inputs, vec![sigmoid]].concat(), output, node, Vec::new());
            }
            Function::Gelu => return self.gelu(inputs, output, node),
            Function::Gated => {
                let end = 2 * node.shape[0];
                let [even, odd] = ["value", "gate"].map(|name| format!("{output}.{name}"));
                self.slice(inputs.clone(), even.clone(), &node.shape, [0, end, 2]);
                self.slice(inputs, odd.clone(), &node.shape, [1, end, 2]);
                let sigmoid = self.step("Sigmoid", vec![odd], format!("{output}.sigmoid"), node);
                return self.simple("Mul", vec![even, sigmoid], output, node, Vec::new());
            }
        };
        self.simple(kind, inputs, output, node, attributes);
    }

    /// `x/2 (1 + erf(x / sqrt(2)))`: the operator of that name came with a later version.
    fn gelu(&mut self, inputs: Vec<String>, output: String, node: &Node) {
        let mut number = |name: &str, value: f32| self.floats(format!("{output}.{name}"), &[], &[value]);
        let root = number("root", std::f32::consts::FRAC_1_SQRT_2);
        let (one, half) = (number("one", 1.0), number("half", 0.5));
        let x = inputs[0].clone();
        let mut step = |kind, inputs, name: &str| self.step(kind, inputs, format!("{output}.{name}"), node);
        let scaled = step("Mul", vec![x.clone(), root], "scaled");
        let erf = step("Erf", vec![scaled], "erf");
        let twice = step("Add", vec![erf, one], "twice");
        let product = step("Mul", vec![x, twice], "product");
        self.simple("Mul", vec![product, half], output, node, Vec::new());
    }

    /// An operation in between whose result has the shape of a node, and the result's name.
    fn step(&mut self, kind: &str, inputs: Vec<String>, output: String, node: &Node) -> String {
        self.simple(kind, inputs, output.clone(), node, Vec::new());
        output
    }
}
