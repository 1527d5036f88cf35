//! The adapter's peaks, measured: what the speed of products, and of kernels that do little arithmetic, is held against.
//! The twin of `shaders/gpu/peak.wgsl` and `shaders/gpu/peak/copy.wgsl`.

use std::time::Duration;

use super::profile::shortest_times;
use super::{Dispatch, Gpu, Program, Source, Tensor, folded, source};
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

/// How long a dispatch takes that does next to nothing, and an estimate of [`flops_per_second`], within milliseconds.
///
/// # Errors
///
/// [`Error::Gpu`] if the device was lost.
pub(super) fn estimate(gpu: &Gpu) -> Result<(Duration, f64), Error> {
    const ROUNDS: u32 = 16;
    let flops = f64::from(gpu.shader(&SOURCE)?.constant("FLOPS_PER_ROUND")? * ROUNDS) * THREADS as f64;
    let [empty, full] = [1, THREADS].map(|threads| multiply_adds(gpu, ROUNDS, &Tensor::zeros(gpu, threads, 4)?));
    let times = shortest_times(gpu, &[empty?, full?])?;
    Ok((times[0], flops / times[1].as_secs_f64()))
}

/// Measures how many bytes a second a plain kernel reads and writes, both counted, as a copy of more than caches hold.
///
/// # Errors
///
/// [`Error::Gpu`] if the device was lost or has no room for it.
pub fn bytes_per_second(gpu: &Gpu) -> Result<f64, Error> {
    /// Of each of two buffers: more than most GPUs' caches, little enough for any GPU's memory.
    const BYTES: u64 = 128 << 20;
    const QUAD_BYTES: u64 = 16;
    let bytes = BYTES.min(gpu.adapter().max_binding_bytes).min(gpu.adapter().max_buffer_bytes);
    let quads = (bytes / QUAD_BYTES) as usize;
    let (from, to) = (Tensor::zeros(gpu, quads, 4)?, Tensor::zeros(gpu, quads, 4)?);
    let seconds = seconds(gpu, copy(gpu, &from, &to)?)?;
    Ok(2.0 * bytes as f64 / seconds)
}

/// What a dispatch takes by itself.
fn seconds(gpu: &Gpu, dispatch: Dispatch) -> Result<f64, Error> {
    let mut program = Program::default();
    program.push(dispatch);
    Ok(program.profile(gpu)?.iter().map(|time| time.seconds).sum())
}

/// Records `rounds` rounds of four multiply-adds in each chain of each thread, one thread a row of `result`, `(threads, 4)`.
///
/// # Errors
///
/// [`Error::Limit`] if there are more threads than the grid takes.
pub(crate) fn multiply_adds(gpu: &Gpu, rounds: u32, result: &Tensor) -> Result<Dispatch, Error> {
    let kernel = gpu.kernel(&SOURCE, "multiply_add", &[("ROUNDS", f64::from(rounds))])?;
    Dispatch::new(gpu, &kernel, &[("result", result)], [result.rows(), 1, 1])
}

/// Records a copy of a matrix, padding included, one thread a `vec4`.
///
/// # Errors
///
/// [`Error::Limit`] if there are more `vec4`s than the grid takes.
pub(crate) fn copy(gpu: &Gpu, from: &Tensor, to: &Tensor) -> Result<Dispatch, Error> {
    let kernel = gpu.kernel(&COPY, "copy", &[])?;
    let threads = folded(from.padded_len() / 4, kernel.workgroup_size()[0]);
    Dispatch::new(gpu, &kernel, &[("values", from), ("copied", to)], threads)
}
