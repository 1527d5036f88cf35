//! Images on the GPU, and the gathering of batches from them. The twin of `shaders/data/batch.wgsl`.

use super::{Binarize, Images, Pixels};
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Source, Tensor, source};
use crate::noise::Stream;

const SOURCE: Source = source!("data/batch.wgsl");

/// Images uploaded once, as bytes or as floats, and how the model sees them.
pub struct DeviceImages {
    words: Tensor,
    kind: Kind,
    count: usize,
    dimensions: usize,
    binarize: Binarize,
    stream: Stream,
}

/// What the words are.
#[derive(Clone, Copy)]
enum Kind {
    Bytes,
    Floats,
}

impl DeviceImages {
    /// Uploads images, each row padded to whole words of bytes or to whole quads of floats. Where draws make them black
    /// and white, these come from `stream`, with the seed in the step's key.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn upload(gpu: &Gpu, images: &Images, binarize: Binarize, stream: Stream) -> Result<DeviceImages, Error> {
        let (count, dimensions) = (images.count(), images.dimensions());
        let (kind, words) = match &images.pixels {
            Pixels::Bytes(bytes) => {
                let row_bytes = dimensions.next_multiple_of(size_of::<u32>());
                let mut words = vec![0u32; count * row_bytes / size_of::<u32>()];
                let padded: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
                for (to, from) in padded.chunks_exact_mut(row_bytes).zip(bytes.chunks_exact(dimensions)) {
                    to[..dimensions].copy_from_slice(from);
                }
                // One vector, not a matrix: a row of bytes is not padded to a whole vec4.
                (Kind::Bytes, Tensor::from_values(gpu, 1, words.len(), &words)?)
            }
            Pixels::Floats(floats) => (Kind::Floats, Tensor::from_values(gpu, count, dimensions, floats)?),
        };
        Ok(DeviceImages { words, kind, count, dimensions, binarize, stream })
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Records the gathering of a batch: `x[b, d] = images[order[first + b], d]`, bytes divided by 255, or 0 and 1 drawn
    /// from that.
    ///
    /// # Shapes
    ///
    /// - `order`: `(N)`, each below the number of images: the caller keeps to that, the kernel does not check it
    /// - `x`: `(B, D)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if `x` has other columns than the images have pixels.
    pub fn gather(&self, gpu: &Gpu, step: &Tensor, order: &Tensor, x: &Tensor) -> Result<Dispatch, Error> {
        if x.columns() != self.dimensions {
            return Err(Error::Shape {
                operation: "gathering a batch",
                expected: format!("(B, {})", self.dimensions),
                found: format!("({}, {})", x.rows(), x.columns()),
            });
        }
        let mode = gpu.shader(&SOURCE)?.constant(self.binarize.wgsl_name())?;
        let overrides =
            [("D", self.dimensions as f64), ("MODE", f64::from(mode)), ("STREAM", f64::from(self.stream as u32))];
        let (entry, words) = match self.kind {
            Kind::Bytes => ("gather_bytes", ("bytes", &self.words)),
            Kind::Floats => ("gather_floats", ("floats", &self.words)),
        };
        let kernel = gpu.kernel(&SOURCE, entry, &overrides)?;
        let tensors = [("step", step), words, ("order", order), ("x", x)];
        Dispatch::new(gpu, &kernel, &tensors, [self.dimensions.div_ceil(4), x.rows(), 1])
    }
}
