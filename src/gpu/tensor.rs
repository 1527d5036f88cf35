//! Tensors: regions of GPU buffers, seen as matrices of 32-bit words.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytemuck::Pod;

use super::texture::Texture;
use super::{Gpu, TOO_LARGE, lock};
use crate::Error;

/// Words in a `vec4`; rows are padded to a multiple of it.
const QUAD: usize = 4;

/// A matrix of 32-bit words (mostly `f32`) on the GPU, row-major. Clones share the memory.
///
/// Rows are padded with zeros to whole `vec4`s, which kernels load at once. A vector is a matrix of one row.
#[derive(Clone)]
pub struct Tensor {
    buffer: Arc<Buffer>,
    offset: u64,
    rows: usize,
    columns: usize,
}

/// A buffer that counts its bytes as long as it lives.
struct Buffer {
    raw: wgpu::Buffer,
    /// The texture through which dispatches read the buffer, as long as there are any.
    texture: Mutex<Weak<Texture>>,
    allocated: Arc<AtomicU64>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.allocated.fetch_sub(self.raw.size(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} x {})", self.rows, self.columns)
    }
}

impl Tensor {
    /// Makes a matrix of zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if it is larger than the adapter's largest buffer; [`Error::Gpu`] if memory runs out.
    pub fn zeros(gpu: &Gpu, rows: usize, columns: usize) -> Result<Tensor, Error> {
        let size = Tensor::bytes_of(rows, columns);
        let allowed = gpu.inner.device.limits().max_buffer_size;
        if size > allowed {
            let (what, unit) = (format!("a tensor of {rows} x {columns}"), "bytes in one buffer");
            return Err(Error::Limit { what, needed: size, unit, allowed, hint: TOO_LARGE });
        }
        let raw = gpu.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.check("allocating memory")?;
        let allocated = Arc::clone(&gpu.inner.allocated);
        allocated.fetch_add(size, Ordering::Relaxed);
        Ok(Tensor { buffer: Arc::new(Buffer { raw, texture: Mutex::default(), allocated }), offset: 0, rows, columns })
    }

    /// Makes a matrix from row-major values.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`], and [`Error::Argument`] if there are not `rows * columns` values.
    pub fn from_values<T: Pod>(gpu: &Gpu, rows: usize, columns: usize, values: &[T]) -> Result<Tensor, Error> {
        let tensor = Tensor::zeros(gpu, rows, columns)?;
        tensor.write(gpu, values)?;
        Ok(tensor)
    }

    /// Bytes of a padded matrix; an empty one still takes a `vec4`, since no buffer may be empty.
    pub fn bytes_of(rows: usize, columns: usize) -> u64 {
        let words = (rows as u64).saturating_mul(columns.next_multiple_of(QUAD) as u64).max(QUAD as u64);
        words.saturating_mul(size_of::<u32>() as u64)
    }

    /// A part of this tensor's memory, from `offset` bytes on. The caller must respect the adapter's alignment.
    pub(super) fn region(&self, offset: u64, rows: usize, columns: usize) -> Tensor {
        Tensor { buffer: Arc::clone(&self.buffer), offset: self.offset + offset, rows, columns }
    }

    /// The first rows of this matrix.
    pub fn first_rows(&self, rows: usize) -> Tensor {
        self.region(0, rows, self.columns)
    }

    /// The same memory with other rows and columns.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it has another size, or if either matrix has padding that the other one does not have.
    pub fn reshaped(&self, [rows, columns]: [usize; 2]) -> Result<Tensor, Error> {
        let whole = |columns: usize| columns.is_multiple_of(QUAD);
        let fits = self.shape() == [rows, columns]
            || rows * columns == self.rows * self.columns && whole(columns) && whole(self.columns);
        if fits {
            return Ok(self.region(0, rows, columns));
        }
        let expected = format!("as many whole quads as {} x {}", self.rows, self.columns);
        Err(Error::Argument { operation: "reshaping a tensor", expected, found: format!("{rows} x {columns}") })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, without the padding.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Words from one row to the next, padding included.
    pub fn stride(&self) -> usize {
        self.columns.next_multiple_of(QUAD)
    }

    /// Words in the whole region, padding included.
    pub fn padded_len(&self) -> usize {
        self.rows * self.stride()
    }

    /// The values of this matrix, from words that start with those of this matrix, padding included.
    pub(super) fn unpadded<T: Copy>(&self, words: &[T]) -> Vec<T> {
        let rows = words.chunks_exact(self.stride().max(1)).take(self.rows);
        rows.flat_map(|row| &row[..self.columns]).copied().collect()
    }

    /// Uploads row-major values; they are on the GPU before the next submission starts.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are not exactly as many values as the matrix has elements.
    pub fn write<T: Pod>(&self, gpu: &Gpu, values: &[T]) -> Result<(), Error> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        if bytes.len() != self.rows * self.columns * size_of::<u32>() {
            return Err(Error::Argument {
                operation: "writing a tensor",
                expected: format!("{} x {} words", self.rows, self.columns),
                found: format!("{} words", bytes.len() / size_of::<u32>()),
            });
        }
        if self.columns.is_multiple_of(QUAD) || self.rows == 1 {
            self.upload(gpu, bytes);
        } else {
            let row_bytes = self.columns * size_of::<u32>();
            let padded_row_bytes = self.columns.next_multiple_of(QUAD) * size_of::<u32>();
            let mut padded = vec![0; self.rows * padded_row_bytes];
            for (to, from) in padded.chunks_exact_mut(padded_row_bytes).zip(bytes.chunks_exact(row_bytes)) {
                to[..row_bytes].copy_from_slice(from);
            }
            self.upload(gpu, &padded);
        }
        Ok(())
    }

    /// Waits for the GPU and downloads the values, row-major, without the padding.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost or memory ran out.
    pub fn read<T: Pod>(&self, gpu: &Gpu) -> Result<Vec<T>, Error> {
        let words: Vec<u32> = self.read_padded(gpu)?;
        Ok(bytemuck::allocation::pod_collect_to_vec(&self.unpadded(&words)))
    }

    /// Uploads every word, padding included: only the self-test may put anything but zeros there.
    pub(crate) fn write_padded(&self, gpu: &Gpu, words: &[f32]) -> Result<(), Error> {
        if words.len() != self.padded_len() {
            return Err(Error::Argument {
                operation: "writing a padded tensor",
                expected: format!("{} words", self.padded_len()),
                found: format!("{} words", words.len()),
            });
        }
        self.upload(gpu, bytemuck::cast_slice(words));
        Ok(())
    }

    /// Waits for the GPU and downloads every word, row-major, padding included.
    pub(crate) fn read_padded<T: Pod>(&self, gpu: &Gpu) -> Result<Vec<T>, Error> {
        super::Readback::new(gpu, self.padded_len())?.fetch(gpu, self)
    }

    fn upload(&self, gpu: &Gpu, bytes: &[u8]) {
        gpu.inner.queue.write_buffer(&self.buffer.raw, self.offset, bytes);
        if let Some(texture) = self.existing_texture() {
            texture.update(gpu);
        }
    }

    /// The texture that mirrors the whole buffer of this tensor; it is made if there is none.
    pub(super) fn texture(&self, gpu: &Gpu) -> Result<Arc<Texture>, Error> {
        let mut existing = lock(&self.buffer.texture);
        if let Some(texture) = existing.upgrade() {
            return Ok(texture);
        }
        let texture = Arc::new(Texture::mirroring(gpu, &self.buffer.raw)?);
        *existing = Arc::downgrade(&texture);
        Ok(texture)
    }

    pub(super) fn existing_texture(&self) -> Option<Arc<Texture>> {
        lock(&self.buffer.texture).upgrade()
    }

    /// Whether the whole buffer fits a texture of this adapter.
    pub fn fits_texture(&self, gpu: &Gpu) -> bool {
        Texture::rows(self.buffer.raw.size()) <= u64::from(gpu.inner.device.limits().max_texture_dimension_2d)
    }

    /// The region's first quad in its buffer, and in the texture that mirrors it.
    pub fn first_quad(&self) -> usize {
        (self.offset / super::texture::TEXEL_BYTES) as usize
    }

    /// Whether this is the same region of the same buffer.
    pub(super) fn is_same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.buffer, &other.buffer) && self.offset == other.offset
    }

    /// Whether both are in the same buffer.
    pub(super) fn shares_buffer(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.buffer, &other.buffer)
    }

    /// The whole buffer as one vector.
    pub(super) fn whole_buffer(&self) -> Tensor {
        let words = self.buffer.raw.size() as usize / size_of::<u32>();
        Tensor { buffer: Arc::clone(&self.buffer), offset: 0, rows: 1, columns: words }
    }

    /// Records a copy of every word into a tensor of the same shape.
    pub(super) fn record_copy_to(&self, copy: &Tensor, encoder: &mut wgpu::CommandEncoder) {
        let (from, to) = (&self.buffer.raw, &copy.buffer.raw);
        encoder.copy_buffer_to_buffer(from, self.offset, to, copy.offset, self.bytes());
    }

    pub(super) fn bytes(&self) -> u64 {
        Tensor::bytes_of(self.rows, self.columns)
    }

    pub(super) fn raw(&self) -> (&wgpu::Buffer, u64) {
        (&self.buffer.raw, self.offset)
    }

    pub(super) fn binding(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer.raw,
            offset: self.offset,
            size: std::num::NonZeroU64::new(self.bytes()),
        })
    }
}

impl Gpu {
    /// The most rows of a tensor with the given number of columns: they fit one binding and one axis of a grid.
    pub fn most_rows(&self, columns: usize) -> usize {
        (self.most_bytes() / Tensor::bytes_of(1, columns)).min(self.most_workgroups() as u64) as usize
    }

    /// The most workgroups along an axis of a grid.
    pub fn most_workgroups(&self) -> usize {
        self.inner.device.limits().max_compute_workgroups_per_dimension as usize
    }

    /// The bytes of the largest tensor that a kernel can bind as a whole.
    pub fn most_bytes(&self) -> u64 {
        let limits = self.inner.device.limits();
        limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)
    }
}
