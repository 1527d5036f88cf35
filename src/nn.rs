//! Layers, and the registry through which everything else finds their parameters.

mod activation;
mod dense;
mod epilogue;
mod mlp;
mod normalise;

pub use activation::Activation;
pub use dense::Dense;
pub use epilogue::Epilogue;
pub use mlp::{Mlp, MlpActivations};
pub use normalise::{Normalisation, Normalise, Normalised};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::Error;
use crate::gpu::{Arena, Gpu, Tensor};
use crate::noise::Stream;

/// The widest layer that is accepted: beyond it the number of weights of two layers overflows what files can state.
pub(crate) const WIDEST: usize = 1 << 20;

/// What a pass is recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Steps of training, whose forward pass a backward pass follows.
    Training,
    /// Everything else: nothing of the model changes, and no example depends on another.
    Evaluation,
}

/// What layers are recorded with: the GPU, the step that their kernels read, and their parameters.
#[derive(Clone, Copy)]
pub struct Recording<'a> {
    /// The GPU.
    pub gpu: &'a Gpu,
    /// The step under way.
    pub step: &'a Tensor,
    /// The parameters of all layers.
    pub parameters: &'a Arena,
    /// Rows that each example has: its importance samples, behind the draw from the posterior, or one.
    pub samples: usize,
    /// What the pass is for.
    pub mode: Mode,
    /// Whether the gradients of weights and biases are added to what is there: where layers work on several inputs in one
    /// step, of which the first stores.
    pub accumulate: bool,
}

/// How a parameter starts.
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

/// What a layer says of one of its parameters: a matrix `(rows, columns)`, or a vector, which has no rows.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// The dotted name, such as `encoder.0.weight`.
    pub name: String,
    /// The rows of a matrix; a vector has none.
    pub rows: Option<usize>,
    /// The columns of a matrix, or the length of a vector.
    pub columns: usize,
    /// How it starts.
    pub init: Init,
}

impl ParameterSpec {
    /// The shape as files state it.
    pub fn shape(&self) -> Vec<usize> {
        self.rows.into_iter().chain([self.columns]).collect()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.rows.unwrap_or(1) * self.columns
    }

    /// Whether it has no elements; a parameter of a checked model always has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Makes an arena of zeros with a place for each parameter.
///
/// # Errors
///
/// As [`Arena::zeros`].
pub fn arena(gpu: &Gpu, specs: &[ParameterSpec]) -> Result<Arena, Error> {
    Arena::zeros(gpu, specs.iter().map(|spec| (spec.name.as_str(), spec.rows.unwrap_or(1), spec.columns)))
}

/// Draws the initial values of every parameter, in order of registration, from the seed.
///
/// # Errors
///
/// [`Error::Shape`] if the arena was not made from the same specs.
pub fn initialise(gpu: &Gpu, specs: &[ParameterSpec], parameters: &Arena, seed: u64) -> Result<(), Error> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(Stream::Initialisation as u64);
    for spec in specs {
        let mut draw = |index: usize| match spec.init {
            Init::Constant(value) => value,
            Init::Rows(values) => values[index / spec.columns],
            Init::Normals { .. } if index % spec.columns >= spec.columns / 2 => 0.0,
            // 24 bits are all that an f32 in [-1, 1) holds evenly.
            Init::Uniform { bound } | Init::Normals { bound } => {
                bound * ((rng.next_u32() >> 8) as f32 * 2f32.powi(-23) - 1.0)
            }
        };
        let values: Vec<f32> = (0..spec.len()).map(&mut draw).collect();
        parameters.get(&spec.name).write(gpu, &values)?;
    }
    Ok(())
}
