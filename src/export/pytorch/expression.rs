//! Graphs as lines of Python.

use crate::graph::{Arithmetic, Function, Graph, Node, Operation, Value};

/// The lines that compute some values of a graph.
pub(super) struct Lines<'a> {
    graph: &'a Graph,
    outputs: &'a [Value],
}

impl<'a> Lines<'a> {
    pub(super) fn new(graph: &'a Graph, outputs: &'a [Value]) -> Lines<'a> {
        Lines { graph, outputs }
    }

    /// The lines, of which the last one returns the values.
    pub(super) fn returned(&self) -> String {
        let mut text = String::new();
        for value in self.graph.needed(self.outputs) {
            let node = self.graph.node(value);
            if let (Some(name), false) = (&node.name, node.operation == Operation::Input) {
                let sizes: Vec<String> = node.shape.iter().map(usize::to_string).collect();
                let shape = [vec!["B".to_owned()], sizes].concat().join(", ");
                text.push_str(&format!("{name} = {}  # ({shape})\n", outer(&self.operation(node))));
            }
        }
        let returned = self.outputs.iter().map(|output| outer(&self.value(*output)));
        format!("{text}return {}\n", returned.collect::<Vec<_>>().join(", "))
    }

    /// A value: its name, or how it is computed.
    fn value(&self, value: Value) -> String {
        let node = self.graph.node(value);
        node.name.clone().unwrap_or_else(|| self.operation(node))
    }

    fn operation(&self, node: &Node) -> String {
        let input = |index: usize| self.value(node.inputs[index]);
        match &node.operation {
            Operation::Input => unreachable!("an input has a name"),
            Operation::Constant(numbers) => constant(numbers, &node.shape, &self.device()),
            Operation::Dense { layer } | Operation::Convolution { layer, .. } => {
                format!("layer(\"{layer}\")({})", outer(&input(0)))
            }
            Operation::BatchNorm { parameter } => {
                format!("batch_norm({}, parameter(\"{parameter}\"), self.training)", outer(&input(0)))
            }
            Operation::LayerNorm { parameter } => {
                format!("layer_norm({}, parameter(\"{parameter}\"))", outer(&input(0)))
            }
            Operation::Pool(factor) => format!("F.avg_pool2d({}, {factor})", outer(&input(0))),
            Operation::Enlarge(factor) => {
                format!("enlarge({}, {factor}, ({}, {}))", outer(&input(0)), node.shape[1], node.shape[2])
            }
            Operation::Apply(function) => apply(*function, &outer(&input(0))),
            Operation::Clamp(min, Some(max)) => format!("{}.clamp({min:?}, {max:?})", input(0)),
            Operation::Clamp(min, None) => format!("{}.clamp(min={min:?})", input(0)),
            Operation::Combine(arithmetic) => {
                let sign = match arithmetic {
                    Arithmetic::Add => "+",
                    Arithmetic::Subtract => "-",
                    Arithmetic::Multiply => "*",
                    Arithmetic::Divide => "/",
                };
                format!("({} {sign} {})", input(0), input(1))
            }
            Operation::Slice { start, end, step: 1 } => format!("{}[:, {start}:{end}]", input(0)),
            Operation::Slice { start, end, step } => format!("{}[:, {start}:{end}:{step}]", input(0)),
            Operation::Reshape => {
                let sizes: Vec<String> = node.shape.iter().map(usize::to_string).collect();
                format!("{}.reshape(-1, {})", input(0), sizes.join(", "))
            }
            Operation::Permute([a, b, c]) => format!("{}.permute(0, {}, {}, {})", input(0), a + 1, b + 1, c + 1),
            Operation::Sum => format!("{}.sum(dim=-1)", input(0)),
        }
    }

    /// The device of the graph's first input.
    fn device(&self) -> String {
        let inputs = self.graph.needed(self.outputs);
        let input = inputs.iter().find(|value| self.graph.node(**value).operation == Operation::Input);
        input.map_or("None".to_owned(), |input| format!("{}.device", self.graph.name(*input)))
    }
}

fn apply(function: Function, x: &str) -> String {
    let name = match function {
        Function::Relu => "torch.relu",
        Function::LeakyRelu => "F.leaky_relu",
        Function::Elu => "F.elu",
        Function::Silu => "F.silu",
        Function::Gelu => "F.gelu",
        Function::Tanh => "torch.tanh",
        Function::Sigmoid => "torch.sigmoid",
        Function::Softplus => "F.softplus",
        Function::Exp => "torch.exp",
        Function::Gated => "gated",
        Function::Softmax => return format!("torch.softmax({x}, dim=-1)"),
    };
    format!("{name}({x})")
}

/// Numbers that are the same for all examples. Many that are evenly spaced are not listed.
fn constant(numbers: &[f32], shape: &[usize], device: &str) -> String {
    /// A line has room for these.
    const FEW: usize = 8;
    let (first, last, count) = (numbers[0], numbers[numbers.len() - 1], numbers.len());
    let even = |(index, number): (usize, &f32)| {
        let share = index as f32 / (count - 1) as f32;
        (first + (last - first) * share - number).abs() <= f32::EPSILON * last.abs()
    };
    if shape.is_empty() {
        format!("{first:?}")
    } else if count > FEW && numbers.iter().enumerate().all(even) {
        format!("torch.linspace({first:?}, {last:?}, {count}, device={device})")
    } else {
        format!("torch.tensor({numbers:?}, device={device})")
    }
}

/// A calculation without the parentheses round all of it.
fn outer(text: &str) -> String {
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else { return text.to_owned() };
    // The first one may be closed before the end.
    let mut depth = 0_i32;
    let balanced = inner.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    });
    if balanced { inner.to_owned() } else { text.to_owned() }
}

/// Sizes as a tuple of Python.
pub(super) fn tuple(sizes: &[String]) -> String {
    let comma = if sizes.len() == 1 { "," } else { "" };
    format!("({}{comma})", sizes.join(", "))
}
