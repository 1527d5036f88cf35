//! Activations and their derivatives. The twin of `shaders/nn/activation.wgsl`.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Tensor, source};

const SOURCE: (&str, &str) = source!("nn/activation.wgsl");

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
    /// Records the activation of each element.
    ///
    /// `output = activation(pre)`
    ///
    /// # Shapes
    ///
    /// - `pre`, `output`: `(B, H)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    pub fn forward(self, gpu: &Gpu, step: &Tensor, pre: &Tensor, output: &Tensor) -> Result<Dispatch, Error> {
        self.dispatch(gpu, "forward", step, pre, ("output", output))
    }

    /// Records the gradient through the activation, in place.
    ///
    /// `gradient *= activation'(pre)`
    ///
    /// # Shapes
    ///
    /// - `pre`, `gradient`: `(B, H)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the shapes differ.
    pub fn backward(self, gpu: &Gpu, step: &Tensor, pre: &Tensor, gradient: &Tensor) -> Result<Dispatch, Error> {
        self.dispatch(gpu, "backward", step, pre, ("gradient", gradient))
    }

    fn dispatch(
        self,
        gpu: &Gpu,
        entry: &str,
        step: &Tensor,
        pre: &Tensor,
        (name, written): (&str, &Tensor),
    ) -> Result<Dispatch, Error> {
        if (pre.rows(), pre.columns()) != (written.rows(), written.columns()) {
            return Err(Error::Shape {
                operation: "activation",
                expected: format!("({}, {})", pre.rows(), pre.columns()),
                found: format!("({}, {})", written.rows(), written.columns()),
            });
        }
        let code = gpu.shader(SOURCE)?.constant(self.wgsl_name())?;
        let overrides = [("ACTIVATION", f64::from(code)), ("COLUMNS", pre.columns() as f64)];
        let kernel = gpu.kernel(SOURCE, entry, &overrides)?;
        let tensors = [("step", step), ("pre", pre), (name, written)];
        Dispatch::new(gpu, &kernel, &tensors, [pre.columns().div_ceil(4), pre.rows(), 1])
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
