//! Pixels from the decoder's outputs. The twin of `shaders/likelihood/pixels.wgsl`.

use super::Density;
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::nn::Recording;
use crate::noise::{self, Stream};

const SOURCE: Source = source!("likelihood/pixels.wgsl");

/// The pixels that stand for p(x|z).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pixels {
    /// Its mean.
    #[default]
    Mean,
    /// A draw from it.
    Draw {
        /// The same seed gives the same draws for the same latents.
        seed: u64,
    },
}

/// Records the pixels of each row: the mean of p(x|z) or a draw from it.
///
/// # Shapes
///
/// - `outputs`: `(B * samples, outputs)`, the decoder's outputs
/// - `result`: `(B * samples, D)`
///
/// # Errors
///
/// [`Error::Argument`] if the rows differ.
pub fn show(
    density: &dyn Density,
    recording: Recording<'_>,
    pixels: Pixels,
    outputs: &Tensor,
    result: &Tensor,
) -> Result<Dispatch, Error> {
    require_shapes("making pixels", [[outputs.rows(), result.columns()]], [result.shape()])?;
    let part = Part::new(SOURCE)
        .fill("pixel", &density.pixel(recording)?)
        .size("D", result.columns())
        .bind("outputs", outputs)
        .bind("pixels", result);
    let (part, entry) = match pixels {
        Pixels::Mean => (part, "show_mean"),
        Pixels::Draw { seed } => {
            let key = Tensor::from_values(recording.at.gpu, 1, 4, &noise::key(seed, Stream::Pixels))?;
            (part.bind("key", &key), "show_draw")
        }
    };
    recording.launch(part, entry)?.over([result.columns(), result.rows(), 1])
}
