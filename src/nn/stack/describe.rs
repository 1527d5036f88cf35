//! Stacks as lists of operations.

use super::{Block, Shortcut, Stack};
use crate::graph::{Arithmetic, Graph, Value};

impl Block {
    fn describe(&self, graph: &mut Graph, input: Value, shortcut: Option<Value>) -> Value {
        let mut value = self.product.layer().describe(graph, input);
        if let Some(norm) = &self.norm {
            value = norm.describe(graph, value);
        }
        match (self.activation, shortcut) {
            (Some(activation), _) => activation.describe(graph, value),
            (None, Some(shortcut)) => graph.combine(Arithmetic::Add, value, shortcut),
            (None, None) => value,
        }
    }
}

impl Stack {
    /// Adds all layers to a graph, as in evaluation. The result is a row.
    pub fn describe(&self, graph: &mut Graph, input: Value) -> Value {
        // The input of each block, and of the output layer.
        let mut inputs = vec![input];
        for (index, block) in self.blocks.iter().enumerate() {
            let around = self.shortcuts.iter().find(|shortcut| shortcut.blocks.end == index + 1);
            let shortcut = around.map(|Shortcut { blocks, projection }| match projection {
                Some(projection) => projection.layer().describe(graph, inputs[blocks.start]),
                // A row may lead to the block, which takes it for a grid.
                None => graph.as_grid(inputs[blocks.start], self.product(blocks.start).input().grid()),
            });
            let value = block.describe(graph, inputs[index], shortcut);
            inputs.push(graph.line(value));
        }
        let output = self.output.layer().describe(graph, inputs[self.blocks.len()]);
        graph.as_row(output)
    }
}
