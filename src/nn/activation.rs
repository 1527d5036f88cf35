//! Activations and their derivatives, as epilogues. The twin of `shaders/nn/activation.wgsl` and of the file below it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Epilogue;
use crate::Error;
use crate::gpu::{Gpu, Source, Tensor, source};

const FORWARD: Source = source!("nn/activation.wgsl");
const BACKWARD: Source = source!("nn/activation/backward.wgsl");

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
}

impl Activation {
    /// The epilogue of a layer's product that applies the activation, and keeps its derivative for the backward pass.
    ///
    /// `output = activation(value)`, `slope = activation'(value)`
    ///
    /// # Shapes
    ///
    /// - `output`, `slope`: `(B, H)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    pub fn forward(self, gpu: &Gpu, output: &Tensor, slope: &Tensor) -> Result<Epilogue, Error> {
        let shape = same_shape(output, slope)?;
        let code = gpu.shader(&source!("lib/activation.wgsl"))?.constant(self.wgsl_name())?;
        let overrides = [("ACTIVATION", f64::from(code)), ("COLUMNS", output.columns() as f64)];
        Ok(Epilogue::new(FORWARD, shape, &overrides, &[("output", output), ("slope", slope)]))
    }

    /// The epilogue of a gradient's product that takes it on through the activation of the layer below.
    ///
    /// `gradient = value * slope`
    ///
    /// # Shapes
    ///
    /// - `slope`, `gradient`: `(B, H)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    pub fn backward(slope: &Tensor, gradient: &Tensor) -> Result<Epilogue, Error> {
        let shape = same_shape(slope, gradient)?;
        let overrides = [("COLUMNS", slope.columns() as f64)];
        Ok(Epilogue::new(BACKWARD, shape, &overrides, &[("slope", slope), ("gradient", gradient)]))
    }

    /// The name of the constant that stands for it in `shaders/lib/activation.wgsl`.
    fn wgsl_name(self) -> &'static str {
        match self {
            Activation::Relu => "RELU",
            Activation::LeakyRelu => "LEAKY_RELU",
            Activation::Elu => "ELU",
            Activation::Silu => "SILU",
            Activation::Gelu => "GELU",
            Activation::Tanh => "TANH",
            Activation::Sigmoid => "SIGMOID",
            Activation::Softplus => "SOFTPLUS",
        }
    }
}

fn same_shape(first: &Tensor, second: &Tensor) -> Result<[usize; 2], Error> {
    let [expected, found] = [first, second].map(|tensor| [tensor.rows(), tensor.columns()]);
    if expected == found {
        return Ok(expected);
    }
    let [expected, found] = [expected, found].map(|[rows, columns]| format!("({rows}, {columns})"));
    Err(Error::Shape { operation: "activation", expected, found })
}
