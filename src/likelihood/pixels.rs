//! Pixels from what the decoder puts out. The twin of `shaders/likelihood/pixels.wgsl`.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::noise::{self, Stream};

const SOURCE: Source = source!("likelihood/pixels.wgsl");

/// What a decoder shows of p(x|z).
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

/// Records the pixels of each row: the mean of p(x|z) or a draw from it, as `pixel` has it.
///
/// # Shapes
///
/// - `outputs`: `(B * samples, outputs)`, what the decoder puts out
/// - `result`: `(B * samples, D)`
///
/// # Errors
///
/// [`Error::Shape`] if the rows differ.
pub fn show(
    gpu: &Gpu,
    step: &Tensor,
    samples: usize,
    (pixels, pixel): (Pixels, &Part),
    outputs: &Tensor,
    result: &Tensor,
) -> Result<Dispatch, Error> {
    if outputs.rows() != result.rows() {
        let (expected, found) = (format!("{} rows", outputs.rows()), result.rows().to_string());
        return Err(Error::Shape { operation: "making pixels", expected, found });
    }
    let overrides =
        [("D", result.columns() as f64), ("OUTPUT_STRIDE", outputs.stride() as f64), ("SAMPLES", samples as f64)];
    let mut tensors = vec![("step", step), ("outputs", outputs), ("pixels", result)];
    let key;
    if let Pixels::Draw { seed } = pixels {
        key = Tensor::from_values(gpu, 1, 4, &noise::key(seed, Stream::Pixels))?;
        tensors.push(("key", &key));
    }
    let threads = [result.columns(), result.rows(), 1];
    Dispatch::with_parts(gpu, (&SOURCE, "show"), &overrides, &tensors, &[("pixel", pixel)], threads)
}
