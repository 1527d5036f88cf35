//! Dense layers, grids of other sizes, normalisation and activations.

use super::Exact;
use crate::nn::Activation;

/// Added to a variance, as in the shaders.
const VARIANCE_EPSILON: f32 = 1e-5;

/// A dense layer.
#[derive(Debug)]
pub struct ExactDense {
    /// `(inputs, outputs)`: the sums of all outputs run side by side.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl ExactDense {
    /// A layer with the weight `(outputs, inputs)`.
    pub fn new(weight: &[f32], bias: &[f32]) -> ExactDense {
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
        let transposed = (0..inputs).flat_map(|i| (0..outputs).map(move |o| weight[o * inputs + i]));
        ExactDense { weight: transposed.collect(), bias: bias.to_vec() }
    }
}

impl Exact for ExactDense {
    fn evaluate(&self, input: &[f32]) -> Vec<f32> {
        let mut output = self.bias.clone();
        for (x, weights) in input.iter().zip(self.weight.chunks_exact(output.len())) {
            // After a relu, and in binarised images, most values are 0.
            if *x != 0.0 {
                output.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
            }
        }
        output
    }
}

/// A normalisation.
#[derive(Debug)]
pub struct ExactNorm {
    /// Over the batch: scale, shift, running mean and running variance; over the layer: scale and shift.
    rows: Vec<Vec<f32>>,
}

impl ExactNorm {
    /// A normalisation with the parameter `(4, W)` or `(2, W)`.
    pub fn new(norm: &[f32], width: usize) -> ExactNorm {
        ExactNorm { rows: norm.chunks_exact(width).map(<[f32]>::to_vec).collect() }
    }

    /// Normalises rows of a product.
    pub fn apply(&self, values: &mut [f32]) {
        let inverse = |variance: f32| 1.0 / (variance + VARIANCE_EPSILON).sqrt();
        let width = self.rows[0].len();
        for row in values.chunks_exact_mut(width) {
            let (mean, variance) = match self.rows.get(2..4) {
                Some(_) => (0.0, 0.0),
                None => {
                    let mean = row.iter().sum::<f32>() / width as f32;
                    (mean, row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width as f32)
                }
            };
            for (column, value) in row.iter_mut().enumerate() {
                let (mean, variance) = match self.rows.get(2..4) {
                    Some([means, variances]) => (means[column], variances[column]),
                    _ => (mean, variance),
                };
                *value = self.rows[0][column] * ((*value - mean) * inverse(variance)) + self.rows[1][column];
            }
        }
    }
}

impl Activation {
    /// The activation of a product, without padding.
    pub(in crate::nn) fn exact(self, product: &[f32]) -> Vec<f32> {
        let sigmoid = |x: f32| {
            let e = libm::expf(-x.abs());
            if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
        };
        let function = |x: f32| match self {
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu => {
                if x < 0.0 {
                    0.01 * x
                } else {
                    x
                }
            }
            Activation::Elu => {
                if x < 0.0 {
                    libm::expm1f(x)
                } else {
                    x
                }
            }
            Activation::Silu => x * sigmoid(x),
            Activation::Gelu => x * 0.5 * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2),
            Activation::Tanh => libm::tanhf(x),
            Activation::Sigmoid | Activation::Gated => sigmoid(x),
            Activation::Softplus => x.max(0.0) + libm::log1pf(libm::expf(-x.abs())),
        };
        match self {
            Activation::Gated => product.chunks_exact(2).map(|pair| pair[0] * function(pair[1])).collect(),
            _ => product.iter().map(|x| function(*x)).collect(),
        }
    }
}
