//! The adapter's peak, measured: what the speed of products is held against. The twin of `shaders/peak.wgsl`.

use std::time::Duration;

use crate::Error;
use crate::gpu::{Dispatch, Gpu, Program, Source, Tensor, source};

const SOURCE: Source = source!("peak.wgsl");

/// Enough threads to fill any chip.
const THREADS: usize = 1 << 17;

/// Measures how many floating-point operations the adapter does in a second, as multiply-adds in f32 that load nothing.
///
/// # Errors
///
/// [`Error::Gpu`] if the device was lost.
pub fn flops_per_second(gpu: &Gpu) -> Result<f64, Error> {
    /// Long enough for the submission not to count, short enough for any driver.
    const LONG: Duration = Duration::from_millis(20);
    let result = Tensor::zeros(gpu, THREADS, 4)?;
    let per_round = f64::from(gpu.shader(&SOURCE)?.constant("FLOPS_PER_ROUND")?) * THREADS as f64;
    let mut rounds = 1;
    loop {
        let mut program = Program::default();
        program.push(multiply_adds(gpu, rounds, &result)?);
        let time = program.profile(gpu, 1)?.into_iter().map(|(_, time)| time).sum::<Duration>();
        if time >= LONG || rounds >= 1 << 20 {
            return Ok(per_round * f64::from(rounds) / time.as_secs_f64());
        }
        rounds *= 8;
    }
}

/// How long a dispatch takes that does next to nothing, and an estimate of [`flops_per_second`] that takes milliseconds.
///
/// # Errors
///
/// [`Error::Gpu`] if the device was lost.
pub(crate) fn estimate(gpu: &Gpu) -> Result<(Duration, f64), Error> {
    const ROUNDS: u32 = 16;
    let flops = f64::from(gpu.shader(&SOURCE)?.constant("FLOPS_PER_ROUND")? * ROUNDS) * THREADS as f64;
    let tensors = [1, THREADS].map(|threads| Tensor::zeros(gpu, threads, 4));
    let mut program = Program::default();
    for tensor in tensors {
        program.push(multiply_adds(gpu, ROUNDS, &tensor?)?);
    }
    let times = program.profile(gpu, 1)?;
    let [empty, full] = [0, 1].map(|index| times[index].1);
    Ok((empty, flops / full.as_secs_f64()))
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
