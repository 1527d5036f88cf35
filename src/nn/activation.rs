//! Activations and their derivatives, as epilogues. The twin of `shaders/nn/activation.wgsl` and of the files below it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Epilogue;
use crate::Error;
use crate::gpu::{Gpu, Source, Tensor, source};

const FORWARD: Source = source!("nn/activation.wgsl");
const BACKWARD: Source = source!("nn/activation/backward.wgsl");
const GATED: Source = source!("nn/activation/gated.wgsl");
const GATED_BACKWARD: Source = source!("nn/activation/gated/backward.wgsl");

/// The nonlinearity after each hidden layer.
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
    /// x * sigmoid(y): each unit has weights of its own for its gate y (Dauphin et al. 2017)
    Gated,
}

impl Activation {
    /// Columns of the product that one unit takes: a gated unit's value and, beside it, its gate.
    pub fn inputs(self) -> usize {
        if self == Activation::Gated { 2 } else { 1 }
    }

    /// The epilogue of a layer's product that applies the activation, and keeps its derivatives for the backward pass.
    ///
    /// `output = activation(value)`, `slope = activation'(value)`; gated, `output[j] = value[2j] * sigmoid(value[2j + 1])`
    /// with the derivatives by both.
    ///
    /// # Shapes
    ///
    /// - the product, `slope`: `(B, H)`, or `(B, 2H)` if it is gated
    /// - `output`: `(B, H)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    pub fn forward(self, gpu: &Gpu, output: &Tensor, slope: &Tensor) -> Result<Epilogue, Error> {
        let [rows, columns] = self.check(output.rows(), output.columns(), slope)?;
        let shape = [rows, columns * self.inputs()];
        let tensors = [("output", output), ("slope", slope)];
        let Some(name) = self.wgsl_name() else {
            return Ok(Epilogue::new(GATED, shape, &[("COLUMNS", columns as f64)], &tensors));
        };
        let code = gpu.shader(&source!("lib/activation.wgsl"))?.constant(name)?;
        let overrides = [("ACTIVATION", f64::from(code)), ("COLUMNS", columns as f64)];
        Ok(Epilogue::new(FORWARD, shape, &overrides, &tensors))
    }

    /// The epilogue of a gradient's product that takes it on through the activation of the layer below.
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
    /// [`Error::Shape`] if the shapes differ.
    pub fn backward(self, slope: &Tensor, gradient: &Tensor) -> Result<Epilogue, Error> {
        let columns = gradient.columns() / self.inputs();
        let shape = self.check(gradient.rows(), columns, slope)?;
        let source = if self == Activation::Gated { GATED_BACKWARD } else { BACKWARD };
        let overrides = [("COLUMNS", columns as f64)];
        Ok(Epilogue::new(source, shape, &overrides, &[("slope", slope), ("gradient", gradient)]))
    }

    /// The name of the constant that stands for it in `shaders/lib/activation.wgsl`, if it is a function of one value.
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

    /// Checks that derivatives belong to units of `rows` by `columns`, and returns these.
    fn check(self, rows: usize, columns: usize, slope: &Tensor) -> Result<[usize; 2], Error> {
        let expected = (rows, columns * self.inputs());
        let found = (slope.rows(), slope.columns());
        if expected == found {
            return Ok([rows, columns]);
        }
        let [expected, found] = [expected, found].map(|(rows, columns)| format!("({rows}, {columns})"));
        Err(Error::Shape { operation: "activation", expected, found })
    }
}
