//! Images on the GPU, and the gathering of batches from them. The twin of `shaders/data/batch.wgsl`.

use super::Images;
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Source, Tensor, source};

const SOURCE: Source = source!("data/batch.wgsl");

/// Images uploaded once, as bytes.
pub struct DeviceImages {
    words: Tensor,
    count: usize,
    dimensions: usize,
}

impl DeviceImages {
    /// Uploads images, each row of bytes padded to whole words.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn upload(gpu: &Gpu, images: &Images) -> Result<DeviceImages, Error> {
        let dimensions = images.dimensions();
        let row_bytes = dimensions.next_multiple_of(size_of::<u32>());
        let mut words = vec![0u32; images.count() * row_bytes / size_of::<u32>()];
        let padded: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        for (to, from) in padded.chunks_exact_mut(row_bytes).zip(images.bytes().chunks_exact(dimensions)) {
            to[..dimensions].copy_from_slice(from);
        }
        // One vector, not a matrix: a row of bytes is not padded to a whole vec4.
        let words = Tensor::from_values(gpu, 1, words.len(), &words)?;
        Ok(DeviceImages { words, count: images.count(), dimensions })
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Records the gathering of a batch: `x[b, d] = images[order[first + b], d] / 255`.
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
        let kernel = gpu.kernel(&SOURCE, "gather", &[("D", self.dimensions as f64)])?;
        let tensors = [("step", step), ("images", &self.words), ("order", order), ("x", x)];
        Dispatch::new(gpu, &kernel, &tensors, [self.dimensions.div_ceil(4), x.rows(), 1])
    }
}
