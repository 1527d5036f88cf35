//! Activations and their derivatives, as epilogues. The twin of `shaders/nn/activation.wgsl` and of the files below it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Epilogue;
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Gpu, Part, Source, Tensor, source};
use crate::graph::{Function, Graph, Value};

const FORWARD: Source = source!("nn/activation.wgsl");
const BACKWARD: Source = source!("nn/activation/backward.wgsl");
const GATED: Source = source!("nn/activation/gated.wgsl");
const GATED_BACKWARD: Source = source!("nn/activation/gated/backward.wgsl");
const SLOPE: Source = source!("nn/activation/slope.wgsl");
const NO_SLOPE: Source = source!("nn/activation/slope/none.wgsl");

/// The activation after each hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0)
    #[default]
    Relu,
    /// x, or 0.01 x where x is negative
    LeakyRelu,
    /// x, or exp(x) - 1 where x is negative
    Elu,
    /// x * sigmoid(x)
    Silu,
    /// x * Phi(x), the exact form
    Gelu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// log(1 + exp(x))
    Softplus,
    /// x * sigmoid(y), where the gate y has its own weights (Dauphin et al. 2017)
    Gated,
}

impl Activation {
    /// Columns of the product for one unit: two for a gated unit, its value and then its gate, else one.
    pub fn inputs(self) -> usize {
        if self == Activation::Gated { 2 } else { 1 }
    }

    /// The epilogue of a layer's product that applies the activation, and stores its derivatives if `slope` is given.
    ///
    /// `output = activation(value)`, `slope = activation'(value)`; gated, `output[j] = value[2j] * sigmoid(value[2j + 1])`
    /// with the derivatives with respect to both.
    ///
    /// # Shapes
    ///
    /// - the product, `slope`: `(B, H)`, or `(B, 2H)` if it is gated
    /// - `output`: `(B, H)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes differ.
    pub fn forward(self, gpu: &Gpu, output: &Tensor, slope: Option<&Tensor>) -> Result<Epilogue, Error> {
        let [rows, columns] = output.shape();
        let shape = [rows, columns * self.inputs()];
        let part = match self.wgsl_name() {
            None => Part::new(GATED),
            Some(name) => {
                let code = gpu.shader(&source!("lib/activation.wgsl"))?.constant(name)?;
                Part::new(FORWARD).set("ACTIVATION", f64::from(code))
            }
        };
        let slope = match slope {
            None => Part::new(NO_SLOPE),
            Some(slope) => {
                require_shapes("activation", [shape], [slope.shape()])?;
                Part::new(SLOPE).bind("slope", slope)
            }
        };
        Ok(Epilogue::new(part.size("COLUMNS", columns).bind("activated", output).fill("slope", &slope), shape))
    }

    /// The epilogue of the product that makes a gradient: it passes the gradient through the activation of the layer
    /// below.
    ///
    /// `gradient = value * slope`; gated, `gradient[2j] = value[j] * slope[2j]` and so for `2j + 1`.
    ///
    /// # Shapes
    ///
    /// - the product: `(B, H)`
    /// - `slope`, `gradient`: `(B, H)`, or `(B, 2H)` if it is gated
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the shapes differ.
    pub fn backward(self, slope: &Tensor, gradient: &Tensor) -> Result<Epilogue, Error> {
        let columns = gradient.columns() / self.inputs();
        require_shapes("activation", [gradient.shape()], [slope.shape()])?;
        let source = if self == Activation::Gated { GATED_BACKWARD } else { BACKWARD };
        let part = Part::new(source).size("COLUMNS", columns).bind("slope", slope).bind("gradient", gradient);
        Ok(Epilogue::new(part, [gradient.rows(), columns]))
    }

    /// Adds the activation of a product to a graph.
    pub(super) fn describe(self, graph: &mut Graph, product: Value) -> Value {
        let function = match self {
            Activation::Relu => Function::Relu,
            Activation::LeakyRelu => Function::LeakyRelu,
            Activation::Elu => Function::Elu,
            Activation::Silu => Function::Silu,
            Activation::Gelu => Function::Gelu,
            Activation::Tanh => Function::Tanh,
            Activation::Sigmoid => Function::Sigmoid,
            Activation::Softplus => Function::Softplus,
            Activation::Gated => Function::Gated,
        };
        graph.apply(function, product)
    }

    /// The name of its constant in `shaders/lib/activation.wgsl`, if it is a function of one value.
    fn wgsl_name(self) -> Option<&'static str> {
        Some(match self {
            Activation::Relu => "RELU",
            Activation::LeakyRelu => "LEAKY_RELU",
            Activation::Elu => "ELU",
            Activation::Silu => "SILU",
            Activation::Gelu => "GELU",
            Activation::Tanh => "TANH",
            Activation::Sigmoid => "SIGMOID",
            Activation::Softplus => "SOFTPLUS",
            Activation::Gated => return None,
        })
    }
}
