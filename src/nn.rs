//! Layers, and the registry through which everything else finds their parameters.

mod activation;
mod convolution;
mod dense;
mod dilated;
mod dropout;
mod embedding;
mod epilogue;
pub mod exact;
mod normalise;
mod parameter;
mod product;
mod recurrent;
mod resize;
mod sequence;
pub mod spec;
mod stack;
mod sum;

pub use activation::Activation;
pub use convolution::{Convolution, Direction, Window};
pub use dense::{Dense, ProductSize, Variant, WeightGradient, cost, weight_gradients};
pub use dilated::{Dilated, DilatedState, average, share_out};
pub(crate) use dilated::{TAPS, Windows, history};
pub use dropout::Dropout;
pub use embedding::{Embedding, Places};
pub use epilogue::Epilogue;
pub use normalise::{Norm, NormKind, NormValues};
pub use parameter::{Init, Initialisation, ParameterSpec, Role, arena, initialise};
pub use product::{Extent, Layer, Product};
pub use recurrent::{Cell, Positions, Recurrent, RecurrentGradients, RecurrentValues, spread, take};
pub(crate) use recurrent::{gru, lstm};
pub use resize::Resize;
pub use sequence::{FirstState, Sequence, SequenceKind, SequenceLayer, SequencePurpose, SequenceSpec, SequenceState};
pub use spec::{LayerSpec, Layers, Spatial};
pub use stack::{Stack, StackConfig, StackGradients, StackValues, Upsample};
pub use sum::{Identity, sum};

use crate::Error;
use crate::gpu::{Arena, Launch, Part};
use crate::step::At;

/// The widest layer that is accepted: beyond it, the number of weights of two layers overflows the sizes in files.
pub(crate) const WIDEST: usize = 1 << 20;

/// The purpose of a recorded pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Steps of training: a backward pass follows the forward pass.
    Training,
    /// Everything else: the model does not change, and no example depends on another.
    Evaluation,
}

/// The context in which layers are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// The GPU, the step and the samples of each example.
    pub at: At<'a>,
    /// The parameters of all layers.
    pub parameters: &'a Arena,
    /// The purpose of the pass.
    pub mode: Mode,
    /// Whether the gradients of weights and biases are added to the stored ones. This is for layers that process
    /// several inputs in one step: the first pass stores, the others add.
    pub accumulate: bool,
    /// Rows of each sample: the positions of a layer's output.
    pub positions: usize,
}

impl<'a> Recording<'a> {
    /// The context for layers without positions, in the first pass of a step.
    pub fn new(at: At<'a>, parameters: &'a Arena, mode: Mode) -> Recording<'a> {
        Recording { at, parameters, mode, accumulate: false, positions: 1 }
    }

    /// The same for outputs of the given size.
    #[must_use]
    pub fn of(self, output: Extent) -> Recording<'a> {
        Recording { positions: output.rows(), ..self }
    }

    /// The same for the rows of all positions of sentences.
    #[must_use]
    pub fn over_sequence(self) -> Recording<'a> {
        Recording { at: At { sequence: true, ..self.at }, ..self }
    }

    /// Makes a kernel of a layer: as [`At::launch`], with the override `POSITIONS`.
    ///
    /// # Errors
    ///
    /// As [`At::launch`].
    pub fn launch(self, part: Part, entry: &str) -> Result<Launch<'a>, Error> {
        self.at.launch(part.offer("POSITIONS", self.positions), entry)
    }
}
