//! Reads from the GPU through a staging buffer that is made once and reused.

use std::sync::mpsc;

use bytemuck::Pod;

use super::{Gpu, Program, Tensor};
use crate::Error;

/// A staging buffer and, during a copy into it, the channel to wait on.
#[derive(Debug)]
pub struct Readback {
    staging: wgpu::Buffer,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    submission: wgpu::SubmissionIndex,
    bytes: u64,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Readback {
    /// Makes a staging buffer of `words` 32-bit words.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if memory runs out.
    pub fn new(gpu: &Gpu, words: usize) -> Result<Readback, Error> {
        let staging = gpu.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: Tensor::bytes_of(1, words),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.check("allocating a staging buffer")?;
        Ok(Readback { staging, pending: None })
    }

    /// Replays a program for steps of the given lengths, and copies as many rows of `from`, from `first_row` on, in one submission.
    ///
    /// It does not wait: [`Readback::collect`] does.
    pub fn submit(&mut self, gpu: &Gpu, program: &Program, lengths: &[u32], from: &Tensor, first_row: usize) {
        let mut encoder = gpu.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        program.record_steps(&mut encoder, lengths.iter().copied());
        self.finish(gpu, encoder, from, first_row, lengths.len());
    }

    /// Copies rows of a tensor after everything else.
    fn finish(&mut self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder, from: &Tensor, first_row: usize, rows: usize) {
        if self.pending.take().is_some() {
            // The last copy was not collected, for example because a pass ended with an error. A mapped buffer cannot
            // be copied to.
            self.staging.unmap();
        }
        let row_bytes = Tensor::bytes_of(1, from.columns());
        let (buffer, offset) = from.raw();
        let bytes = row_bytes * rows as u64;
        let start = offset + row_bytes * first_row as u64;
        encoder.copy_buffer_to_buffer(buffer, start, &self.staging, 0, bytes);
        let (sender, mapped) = mpsc::channel();
        encoder.map_buffer_on_submit(&self.staging, wgpu::MapMode::Read, 0..bytes, move |result| {
            // The receiver is dropped only when the result is no longer needed.
            let _ = sender.send(result);
        });
        let submission = gpu.inner.queue.submit([encoder.finish()]);
        self.pending = Some(Pending { submission, bytes, mapped });
    }

    /// Waits for the last submission and returns the words copied by it, padding included.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost or nothing was submitted.
    pub fn collect<T: Pod>(&mut self, gpu: &Gpu) -> Result<Vec<T>, Error> {
        let fault = |reason: String| Error::Gpu { operation: "reading from the GPU", reason };
        let Pending { submission, bytes, mapped } =
            self.pending.take().ok_or_else(|| fault("nothing was submitted".to_owned()))?;
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        let polled = gpu.inner.device.poll(wait);
        gpu.check("reading from the GPU")?;
        polled.map_err(|error| fault(error.to_string()))?;
        mapped
            .recv()
            .map_err(|_| fault("the device dropped the request".to_owned()))?
            .map_err(|error| fault(error.to_string()))?;
        let view = self.staging.get_mapped_range(0..bytes).map_err(|error| fault(error.to_string()))?;
        let words = bytemuck::allocation::pod_collect_to_vec(&view);
        drop(view);
        self.staging.unmap();
        Ok(words)
    }

    /// Copies a whole tensor and waits for it.
    pub(super) fn fetch<T: Pod>(&mut self, gpu: &Gpu, from: &Tensor) -> Result<Vec<T>, Error> {
        let encoder = gpu.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.finish(gpu, encoder, from, 0, from.rows());
        self.collect(gpu)
    }
}
