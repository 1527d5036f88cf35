//! The adapter's measured peaks, with which the speed of products, and of kernels that do little arithmetic, is
//! compared. The twin of `shaders/gpu/peak.wgsl` and `shaders/gpu/peak/copy.wgsl`.

use std::time::Duration;

use super::profile::shortest_times;
use super::{Dispatch, Gpu, Part, Program, Source, Tensor, source};
use crate::Error;

const SOURCE: Source = source!("gpu/peak.wgsl");
const COPY: Source = source!("gpu/peak/copy.wgsl");

/// Enough threads to fill any chip.
const THREADS: usize = 1 << 17;

/// Measures how many floating-point operations the adapter does in a second, as multiply-adds in f32 that load nothing.
///
/// # Errors
///
/// [`Error::Gpu`] if the device was lost.
pub fn flops_per_second(gpu: &Gpu) -> Result<f64, Error> {
    /// Seconds: long enough for the submission not to count, short enough for any driver.
    const LONG: f64 = 0.02;
    let result = Tensor::zeros(gpu, THREADS, 4)?;
    let per_round = f64::from(gpu.shader(&SOURCE)?.constant("FLOPS_PER_ROUND")?) * THREADS as f64;
    let mut rounds = 1;
    loop {
        let seconds = seconds(gpu, multiply_adds(gpu, rounds, &result)?)?;
        if seconds >= LONG || rounds >= 1 << 20 {
            return Ok(per_round * f64::from(rounds) / seconds);
        }
        rounds *= 8;
    }
}

/// The time of an almost empty dispatch, and an estimate of [`flops_per_second`]. It takes milliseconds.
///
/// # Errors
///
/// [`Error::Gpu`] if the device was lost.
pub(super) fn estimate(gpu: &Gpu) -> Result<(Duration, f64), Error> {
    const ROUNDS: u32 = 16;
    let flops = f64::from(gpu.shader(&SOURCE)?.constant("FLOPS_PER_ROUND")? * ROUNDS) * THREADS as f64;
    let [empty, full] = [1, THREADS].map(|threads| multiply_adds(gpu, ROUNDS, &Tensor::zeros(gpu, threads, 4)?));
    let times = shortest_times(gpu, &[vec![empty?], vec![full?]])?.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok((times[0].0, flops / times[1].0.as_secs_f64()))
}

/// Measures the bytes per second that a plain kernel reads plus writes, with a copy that is larger than caches.
///
/// # Errors
///
/// [`Error::Gpu`] if the device was lost or has no room for it.
pub fn bytes_per_second(gpu: &Gpu) -> Result<f64, Error> {
    /// The size of each of two buffers: larger than most GPUs' caches, small enough for any GPU's memory.
    const BYTES: u64 = 128 << 20;
    const QUAD_BYTES: u64 = 16;
    let bytes = BYTES.min(gpu.adapter().max_binding_bytes).min(gpu.adapter().max_buffer_bytes);
    let quads = (bytes / QUAD_BYTES) as usize;
    let (from, to) = (Tensor::zeros(gpu, quads, 4)?, Tensor::zeros(gpu, quads, 4)?);
    let seconds = seconds(gpu, copy(gpu, &from, &to)?)?;
    Ok(2.0 * bytes as f64 / seconds)
}

/// The time of one dispatch.
fn seconds(gpu: &Gpu, dispatch: Dispatch) -> Result<f64, Error> {
    let mut program = Program::default();
    program.push(dispatch);
    Ok(program.profile(gpu)?.iter().map(|time| time.seconds).sum())
}

/// Records `rounds` rounds of four multiply-adds in each chain of each thread, one thread a row of `result`, `(threads, 4)`.
///
/// # Errors
///
/// [`Error::Limit`] if there are more threads than the grid allows.
pub(crate) fn multiply_adds(gpu: &Gpu, rounds: u32, result: &Tensor) -> Result<Dispatch, Error> {
    let part = Part::new(SOURCE).set("ROUNDS", f64::from(rounds)).bind("result", result);
    gpu.launch(part, "multiply_add")?.over([result.rows(), 1, 1])
}

/// Records a copy of a matrix, padding included, one thread a `vec4`.
///
/// # Errors
///
/// [`Error::Limit`] if there are more `vec4`s than the grid allows.
pub(crate) fn copy(gpu: &Gpu, from: &Tensor, to: &Tensor) -> Result<Dispatch, Error> {
    let part = Part::new(COPY).bind("values", from).bind("copied", to);
    gpu.launch(part, "copy")?.over_folded(from.padded_len() / 4)
}
