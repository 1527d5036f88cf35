//! Images on the GPU, and the gathering of batches from them. The twin of `shaders/data/batch.wgsl`.

mod sentences;

pub use sentences::{DeviceSentences, TokenBatch, beginning};

use super::{Binarize, Images, PixelValues};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::noise::Stream;
use crate::step::At;

const SOURCE: Source = source!("data/batch.wgsl");

/// Examples uploaded once.
#[derive(Debug)]
pub enum DeviceExamples {
    /// Images.
    Images(DeviceImages),
    /// Sentences.
    Sentences(DeviceSentences),
}

impl DeviceExamples {
    /// Their number.
    pub fn count(&self) -> usize {
        match self {
            DeviceExamples::Images(images) => images.count(),
            DeviceExamples::Sentences(sentences) => sentences.count(),
        }
    }
}

/// Images uploaded once, as bytes or as floats, and how the model sees them.
///
/// They are in several buffers, the shards, if they are too large for one binding.
#[derive(Debug)]
pub struct DeviceImages {
    shards: Vec<Tensor>,
    /// Images in a shard; the last one may have fewer.
    shard: usize,
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
    /// [`Error::Gpu`] if memory runs out.
    pub fn upload(gpu: &Gpu, images: &Images, binarize: Binarize, stream: Stream) -> Result<DeviceImages, Error> {
        let row_bytes = match &images.pixels {
            PixelValues::Bytes(_) => byte_row(images.dimensions()),
            PixelValues::Floats(_) => 4 * byte_row(images.dimensions()),
        };
        // A kernel counts words in 32 bits.
        let shard = gpu.most_bytes().min(u64::from(u32::MAX)) as usize / row_bytes;
        DeviceImages::upload_in_shards(gpu, images, binarize, stream, shard.max(1))
    }

    /// The same with the given number of images in a shard.
    pub(crate) fn upload_in_shards(
        gpu: &Gpu,
        images: &Images,
        binarize: Binarize,
        stream: Stream,
        shard: usize,
    ) -> Result<DeviceImages, Error> {
        let (count, dimensions) = (images.count(), images.dimensions());
        let values = shard.saturating_mul(dimensions);
        let (element, shards) = match &images.pixels {
            PixelValues::Bytes(bytes) => (
                Element::Byte,
                bytes.chunks(values).map(|rows| upload_bytes(gpu, rows, dimensions)).collect::<Result<_, _>>(),
            ),
            PixelValues::Floats(floats) => {
                let upload = |rows: &[f32]| Tensor::from_values(gpu, rows.len() / dimensions, dimensions, rows);
                (Element::Float, floats.chunks(values).map(upload).collect::<Result<_, _>>())
            }
        };
        Ok(DeviceImages { shards: shards?, shard, element, count, dimensions, binarize, stream })
    }

    /// The tensors that they are in.
    pub(crate) fn shards(&self) -> &[Tensor] {
        &self.shards
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Records the gathering of a batch: `x[b, d] = images[order[first + b], d]`, with bytes divided by 255, and
    /// binarised if the model asks for it. There is a dispatch for each shard.
    ///
    /// # Shapes
    ///
    /// - `order`: `(N)`, each below the number of images: the caller must ensure it, the kernel does not check it
    /// - `x`: `(B, D)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `x` does not have one column for each pixel.
    pub fn gather(&self, at: At<'_>, order: &Tensor, x: &Tensor) -> Result<Vec<Dispatch>, Error> {
        require_shapes("gathering a batch", [[x.rows(), self.dimensions]], [x.shape()])?;
        let mode = at.gpu.shader(&SOURCE)?.constant(self.binarize.wgsl_name())?;
        let (entry, name) = match self.element {
            Element::Byte => ("gather_bytes", "bytes"),
            Element::Float => ("gather_floats", "floats"),
        };
        let gather = |(number, words): (usize, &Tensor)| {
            let part = Part::new(SOURCE)
                .size("D", self.dimensions)
                .set("MODE", f64::from(mode))
                .set("STREAM", f64::from(self.stream as u32))
                .size("SHARD", self.shard)
                .size("NUMBER", number)
                .bind(name, words)
                .bind("order", order)
                .bind("x", x);
            at.launch(part, entry)?.over([x.stride() / 4, x.rows(), 1])
        };
        self.shards.iter().enumerate().map(gather).collect()
    }
}

/// Bytes of a row of bytes: whole words.
fn byte_row(dimensions: usize) -> usize {
    dimensions.next_multiple_of(size_of::<u32>())
}

/// Uploads rows of bytes.
fn upload_bytes(gpu: &Gpu, bytes: &[u8], dimensions: usize) -> Result<Tensor, Error> {
    let row_bytes = byte_row(dimensions);
    let mut words = vec![0u32; bytes.len() / dimensions * row_bytes / size_of::<u32>()];
    let padded: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    for (to, from) in padded.chunks_exact_mut(row_bytes).zip(bytes.chunks_exact(dimensions)) {
        to[..dimensions].copy_from_slice(from);
    }
    // One vector, not a matrix: a row of bytes is not padded to a whole vec4.
    Tensor::from_values(gpu, 1, words.len(), &words)
}
