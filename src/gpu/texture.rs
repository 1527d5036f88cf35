//! Textures that mirror buffers: on a CPU adapter, texels are loaded for all SIMD lanes at once, storage buffers lane by
//! lane.
//!
//! A texture is made with the first dispatch that reads a tensor through one, and lives as long as there is such a
//! dispatch. Meanwhile, every write to the tensor, by a dispatch or by the host, is followed by a copy, so that the two
//! never differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Gpu;
use crate::Error;

/// A texel holds a `vec4f`.
pub(super) const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Float;
pub(super) const TEXEL_BYTES: u64 = 16;

/// Texels in a row: the buffer is laid out linearly over rows of this width, whatever the tensor's shape.
pub const TEXTURE_WIDTH: u32 = 1024;

const ROW_BYTES: u64 = TEXTURE_WIDTH as u64 * TEXEL_BYTES;

/// A texture that mirrors a buffer.
#[derive(Debug)]
pub(super) struct Texture {
    buffer: wgpu::Buffer,
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    bytes: u64,
    allocated: Arc<AtomicU64>,
}

impl Drop for Texture {
    fn drop(&mut self) {
        self.allocated.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Texture {
    /// Makes a texture with the buffer's contents.
    pub fn mirroring(gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<Texture, Error> {
        let height = Texture::rows(buffer.size());
        let allowed = gpu.inner.device.limits().max_texture_dimension_2d;
        let height = u32::try_from(height).ok().filter(|height| *height <= allowed).ok_or_else(|| Error::Limit {
            what: format!("a texture of {} bytes", buffer.size()),
            needed: height,
            unit: "rows",
            allowed: u64::from(allowed),
            hint: super::TOO_LARGE,
        })?;
        let texture = gpu.inner.device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: TEXTURE_WIDTH, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        gpu.check("allocating memory")?;
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let bytes = u64::from(height) * ROW_BYTES;
        let allocated = Arc::clone(&gpu.inner.allocated);
        allocated.fetch_add(bytes, Ordering::Relaxed);
        let texture = Texture { buffer: buffer.clone(), texture, view, bytes, allocated };
        texture.update(gpu);
        Ok(texture)
    }

    /// Rows of the texture for a buffer of `bytes`: one more than it fills, because tiles read past its end.
    pub fn rows(bytes: u64) -> u64 {
        bytes.div_ceil(ROW_BYTES) + 1
    }

    pub fn view(&self) -> &wgpu::TextureView {
        &self.view
    }

    /// Submits a copy of the buffer as it is now.
    pub fn update(&self, gpu: &Gpu) {
        gpu.submit(|encoder| self.record_copy(encoder));
    }

    /// Records a copy of the buffer: the rows that it fills, then the rest of the last one.
    pub fn record_copy(&self, encoder: &mut wgpu::CommandEncoder) {
        self.rectangles().for_each(|(row, width, height)| self.record_rows(encoder, row, width, height));
    }

    /// Records the same number of copies, each of one texel.
    pub fn record_texels(&self, encoder: &mut wgpu::CommandEncoder) {
        self.rectangles().for_each(|(row, ..)| self.record_rows(encoder, row, 1, 1));
    }

    /// The first row, the width and the height of each copy.
    fn rectangles(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        let bytes = self.buffer.size();
        let full = (bytes / ROW_BYTES) as u32;
        let rest = (bytes % ROW_BYTES / TEXEL_BYTES) as u32;
        [(0, TEXTURE_WIDTH, full), (full, rest, 1)].into_iter().filter(|(_, width, height)| width * height > 0)
    }

    fn record_rows(&self, encoder: &mut wgpu::CommandEncoder, row: u32, width: u32, height: u32) {
        let layout = wgpu::TexelCopyBufferLayout {
            offset: u64::from(row) * ROW_BYTES,
            bytes_per_row: Some(ROW_BYTES as u32),
            rows_per_image: None,
        };
        let target = wgpu::TexelCopyTextureInfo {
            texture: &self.texture,
            mip_level: 0,
            origin: wgpu::Origin3d { x: 0, y: row, z: 0 },
            aspect: wgpu::TextureAspect::All,
        };
        let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
        encoder.copy_buffer_to_texture(wgpu::TexelCopyBufferInfo { buffer: &self.buffer, layout }, target, size);
    }
}
