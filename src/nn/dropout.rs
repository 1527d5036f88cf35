//! Dropout over sentences. The twin of `shaders/nn/dropout.wgsl`.

use super::Mode;
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::noise::Stream;
use crate::step::At;

const SOURCE: Source = source!("nn/dropout.wgsl");

/// A layer of dropout; each has draws of its own.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability that a value is dropped, below 1.
    pub probability: f32,
    /// The number of the layer.
    pub layer: u32,
}

impl Dropout {
    /// The same in training, and none otherwise.
    #[must_use]
    pub fn of(self, mode: Mode) -> Dropout {
        if mode == Mode::Training { self } else { Dropout { probability: 0.0, ..self } }
    }

    /// Records dropout of the first `columns` of a matrix, in place: `values[row, c] = 0` with the probability, else
    /// `values[row, c] / (1 - probability)`. On a gradient, it is the backward pass. There is none if the probability is 0.
    ///
    /// # Shapes
    ///
    /// - `values`: `(T * B * samples, C)`, of which whole quads may be dropped
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are fewer columns.
    ///
    /// # Source
    ///
    /// Srivastava et al. 2014, with the scale in training.
    pub fn record(self, at: At<'_>, values: &Tensor, columns: usize) -> Result<Option<Dispatch>, Error> {
        if self.probability == 0.0 {
            return Ok(None);
        }
        let most = columns.min(values.columns());
        require_shapes("dropout", [[values.rows(), columns]], [[values.rows(), most / 4 * 4]])?;
        let part = Part::new(SOURCE)
            .size("QUADS", columns / 4)
            .set("PROBABILITY", f64::from(self.probability))
            .set("LAYER", f64::from(self.layer))
            .set("STREAM", f64::from(Stream::Dropout as u32))
            .bind("values", values);
        at.launch(part, "drop_out")?.over([columns / 4, values.rows(), 1]).map(Some)
    }
}
