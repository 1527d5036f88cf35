//! The host's part of a replay: the time to record and to submit a program whose kernels have nothing to do.

use std::time::{Duration, Instant};

use super::{Gpu, Program};
use crate::Error;

/// The host's time for one replay of a program.
#[derive(Clone, Copy, Debug)]
pub struct HostTime {
    /// To record it: what wgpu validates and tracks, and what the driver records.
    pub record: Duration,
    /// Its share of the submission.
    pub submit: Duration,
}

impl Program {
    /// Measures the host's time for one replay of `times` in a submission: the shortest of many submissions of
    /// [`Program::emptied`].
    ///
    /// It waits after each submission, because a software adapter runs on the processors that record the next one. The
    /// shortest counts, because the driver's threads may still interrupt a submission.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn host_time(&self, gpu: &Gpu, times: u32) -> Result<HostTime, Error> {
        const RUN: Duration = Duration::from_millis(100);
        const LEAST: usize = 5;
        let empty = self.emptied();
        let (mut record, mut submit) = (Duration::MAX, Duration::MAX);
        let (mut runs, begin) = (0, Instant::now());
        while runs < LEAST || begin.elapsed() < RUN {
            let start = Instant::now();
            let mut encoder = gpu.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            empty.record(&mut encoder, times);
            let commands = encoder.finish();
            let recorded = Instant::now();
            gpu.inner.queue.submit([commands]);
            (record, submit) = (record.min(recorded - start), submit.min(recorded.elapsed()));
            gpu.wait()?;
            runs += 1;
        }
        Ok(HostTime { record: record / times, submit: submit / times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterRequest, Tensor, peak};

    #[test]
    fn an_empty_program_changes_nothing_and_takes_the_host_time() -> Result<(), Error> {
        let gpu = Gpu::open(&AdapterRequest::default())?;
        let result = Tensor::from_values(&gpu, 64, 4, &[7f32; 64 * 4])?;
        let mut program = Program::default();
        program.push(peak::multiply_adds(&gpu, 1, &result)?);
        let HostTime { record, submit } = program.host_time(&gpu, 8)?;
        assert!(record > Duration::ZERO && submit > Duration::ZERO);
        assert!(result.read::<f32>(&gpu)?.iter().all(|value| *value == 7.0));
        gpu.run(&program, 1);
        assert!(result.read::<f32>(&gpu)?.iter().any(|value| *value != 7.0));
        Ok(())
    }
}
