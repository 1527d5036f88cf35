//! The registry of parameters: their descriptions by the layers, and their initial values.

use clap::ValueEnum;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gpu::{Arena, Gpu, Tensor};
use crate::noise::Stream;

/// The role of a parameter: it decides what an optimiser does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is multiplied with inputs. Weight decay, if there is any, applies only to weights.
    Weight,
    /// It is added to a product, or is a point among data or latents.
    Bias,
    /// It scales a normalised value, or is the logarithm of a scale.
    Scale,
    /// It is measured, not learned: a running mean or variance. Its gradient is zero.
    Statistic,
    /// One role for each row.
    Rows(&'static [Role]),
}

/// The initial values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform between `-bound` and `bound`.
    Uniform {
        /// The largest absolute value.
        bound: f32,
    },
    /// Every element the same.
    Constant(f32),
    /// Every element of a row the same, one value a row.
    Rows(&'static [f32]),
    /// Normal distributions, one a row: means, the first half of the row, uniform between `-bound` and `bound`, and log
    /// variances of 0.
    Normals {
        /// The largest absolute value of a mean.
        bound: f32,
    },
}

/// How the weights and biases of layers start. Uniform between `-bound` and `bound`, where a weight `(out, in)` has the fans `in` and
/// `out`, and that of a convolution each of them times its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initialisation {
    /// PyTorch's: within 1 / sqrt(fan in), biases too
    #[default]
    Torch,
    /// For relu and many layers: weights within sqrt(6 / fan in), He et al. 2015
    Kaiming,
    /// TensorFlow's: weights within sqrt(6 / (fan in + fan out)), biases zero, Glorot & Bengio 2010
    Glorot,
}

impl Initialisation {
    /// The description of a layer's parameter with these initial values. The layer's own are PyTorch's.
    pub fn of(self, spec: ParameterSpec) -> ParameterSpec {
        let fan_in = spec.shape[1..].iter().product::<usize>() as f32;
        let fan_out = spec.shape[..spec.shape.len() - 1].iter().product::<usize>() as f32;
        let init = match (self, spec.role) {
            (Initialisation::Kaiming, Role::Weight) => Init::Uniform { bound: (6.0 / fan_in).sqrt() },
            (Initialisation::Glorot, Role::Weight) => Init::Uniform { bound: (6.0 / (fan_in + fan_out)).sqrt() },
            (Initialisation::Glorot, Role::Bias) => Init::Constant(0.0),
            _ => spec.init,
        };
        ParameterSpec { init, ..spec }
    }
}

/// A layer's description of one of its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// The dotted name, such as `encoder.0.weight`.
    pub name: String,
    /// The shape in files. In memory it is a vector, or a matrix, whose rows are the first half of the axes.
    pub shape: Vec<usize>,
    /// Its role.
    pub role: Role,
    /// Its initial values.
    pub init: Init,
}

impl ParameterSpec {
    /// The rows of the matrix; a vector has one.
    pub fn rows(&self) -> usize {
        self.shape[..self.shape.len() / 2].iter().product()
    }

    /// The columns of the matrix, or the length of the vector.
    pub fn columns(&self) -> usize {
        self.shape[self.shape.len() / 2..].iter().product()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.rows() * self.columns()
    }

    /// Whether it has no elements; a parameter of a checked model always has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The role of a row.
    pub fn role_of(&self, row: usize) -> Role {
        match self.role {
            Role::Rows(roles) => roles[row],
            role => role,
        }
    }

    /// The number of elements that are learned: all but statistics.
    pub fn learned(&self) -> usize {
        (0..self.rows()).filter(|row| self.role_of(*row) != Role::Statistic).count() * self.columns()
    }
}

/// Makes an arena of zeros with a place for each parameter.
///
/// # Errors
///
/// [`Error::Limit`] if a parameter is larger than the adapter's largest binding, or all of them than its largest buffer;
/// [`Error::Gpu`] if memory runs out.
pub fn arena(gpu: &Gpu, specs: &[ParameterSpec]) -> Result<Arena, Error> {
    let narrower = "use narrower layers (--hidden), smaller images, or fewer --components of a prior";
    let fewer = "use fewer or narrower layers (--hidden), or smaller images";
    let allowed = gpu.most_bytes();
    for spec in specs {
        let needed = Tensor::bytes_of(spec.rows(), spec.columns());
        if needed > allowed {
            let what = format!("the parameter {} of {} x {}", spec.name, spec.rows(), spec.columns());
            return Err(Error::Limit { what, needed, unit: "bytes in one binding", allowed, hint: narrower });
        }
    }
    let shapes = specs.iter().map(|spec| (spec.name.as_str(), spec.rows(), spec.columns()));
    Arena::zeros(gpu, shapes).map_err(|error| match error {
        Error::Limit { needed, unit, allowed, .. } => {
            let what = format!("a model of {} parameters", specs.iter().map(ParameterSpec::len).sum::<usize>());
            Error::Limit { what, needed, unit, allowed, hint: fewer }
        }
        error => error,
    })
}

/// Draws the initial values of every parameter, in order of registration, from the seed.
///
/// # Errors
///
/// [`Error::Argument`] if the arena was not made from the same specs.
pub fn initialise(gpu: &Gpu, specs: &[ParameterSpec], parameters: &Arena, seed: u64) -> Result<(), Error> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(Stream::Initialisation as u64);
    for spec in specs {
        let columns = spec.columns();
        let mut draw = |index: usize| match spec.init {
            Init::Constant(value) => value,
            Init::Rows(values) => values[index / columns],
            Init::Normals { .. } if index % columns >= columns / 2 => 0.0,
            // 24 bits: f32 values in [-1, 1) are evenly spaced up to this precision.
            Init::Uniform { bound } | Init::Normals { bound } => {
                bound * ((rng.next_u32() >> 8) as f32 * 2f32.powi(-23) - 1.0)
            }
        };
        let values: Vec<f32> = (0..spec.len()).map(&mut draw).collect();
        parameters.get(&spec.name).write(gpu, &values)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_other_libraries() {
        let spec = |shape: &[usize], role| ParameterSpec {
            name: "x".into(),
            shape: shape.to_vec(),
            role,
            init: Init::Uniform { bound: 0.125 },
        };
        let bound =
            |initialisation: Initialisation, shape: &[usize]| match initialisation.of(spec(shape, Role::Weight)).init {
                Init::Uniform { bound } => bound,
                other => panic!("{other:?}"),
            };
        for (shape, kaiming, glorot) in
            [(&[4, 6][..], 1.0, (6.0f32 / 10.0).sqrt()), (&[8, 2, 2, 6], 0.5, (6.0f32 / 56.0).sqrt())]
        {
            let bounds =
                [Initialisation::Torch, Initialisation::Kaiming, Initialisation::Glorot].map(|i| bound(i, shape));
            assert_eq!(bounds, [0.125, kaiming, glorot]);
        }
        let bias = spec(&[4], Role::Bias);
        assert_eq!(Initialisation::Glorot.of(bias.clone()).init, Init::Constant(0.0));
        assert_eq!(Initialisation::Kaiming.of(bias.clone()), bias);
    }
}
