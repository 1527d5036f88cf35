//! Images on the GPU, and the gathering of batches from them. The twin of `shaders/data/batch.wgsl`.

use super::{Binarize, Images, PixelValues};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::noise::Stream;
use crate::step::At;

const SOURCE: Source = source!("data/batch.wgsl");

/// Images uploaded once, as bytes or as floats, and how the model sees them.
#[derive(Debug)]
pub struct DeviceImages {
    words: Tensor,
    element: Element,
    count: usize,
    dimensions: usize,
    binarize: Binarize,
    stream: Stream,
}

/// The type of the pixels.
#[derive(Clone, Copy, Debug)]
enum Element {
    Byte,
    Float,
}

impl DeviceImages {
    /// Uploads images, each row padded to whole words of bytes or to whole quads of floats. The draws that binarise
    /// them use `stream` and the seed in the step's key.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn upload(gpu: &Gpu, images: &Images, binarize: Binarize, stream: Stream) -> Result<DeviceImages, Error> {
        let (count, dimensions) = (images.count(), images.dimensions());
        let (element, words) = match &images.pixels {
            PixelValues::Bytes(bytes) => {
                let row_bytes = dimensions.next_multiple_of(size_of::<u32>());
                let mut words = vec![0u32; count * row_bytes / size_of::<u32>()];
                let padded: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
                for (to, from) in padded.chunks_exact_mut(row_bytes).zip(bytes.chunks_exact(dimensions)) {
                    to[..dimensions].copy_from_slice(from);
                }
                // One vector, not a matrix: a row of bytes is not padded to a whole vec4.
                (Element::Byte, Tensor::from_values(gpu, 1, words.len(), &words)?)
            }
            PixelValues::Floats(floats) => (Element::Float, Tensor::from_values(gpu, count, dimensions, floats)?),
        };
        Ok(DeviceImages { words, element, count, dimensions, binarize, stream })
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Records the gathering of a batch: `x[b, d] = images[order[first + b], d]`, with bytes divided by 255, and
    /// binarised if the model asks for it.
    ///
    /// # Shapes
    ///
    /// - `order`: `(N)`, each below the number of images: the caller must ensure it, the kernel does not check it
    /// - `x`: `(B, D)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `x` does not have one column for each pixel.
    pub fn gather(&self, at: At<'_>, order: &Tensor, x: &Tensor) -> Result<Dispatch, Error> {
        require_shapes("gathering a batch", [[x.rows(), self.dimensions]], [x.shape()])?;
        let mode = at.gpu.shader(&SOURCE)?.constant(self.binarize.wgsl_name())?;
        let (entry, name) = match self.element {
            Element::Byte => ("gather_bytes", "bytes"),
            Element::Float => ("gather_floats", "floats"),
        };
        let part = Part::new(SOURCE)
            .size("D", self.dimensions)
            .set("MODE", f64::from(mode))
            .set("STREAM", f64::from(self.stream as u32))
            .bind(name, &self.words)
            .bind("order", order)
            .bind("x", x);
        at.launch(part, entry)?.over([x.stride() / 4, x.rows(), 1])
    }
}
