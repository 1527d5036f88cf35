//! What one dispatch takes by itself.
//!
//! Many replays of it are one compute pass, and the GPU's own clock is read where the pass begins and where it ends: the
//! wall clock also counts what a submission costs, which is many times what a short dispatch takes. The wall clock is for
//! adapters without timestamps, and for a dispatch that copies to textures follow, since these are outside of any pass:
//! only adapters that run on a CPU have them, where a dispatch takes longer than a submission.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Dispatch, Gpu, Program, Tensor, dispatch};
use crate::Error;

/// What a time was taken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The GPU's timestamps.
    Gpu,
    /// The host's clock, from before the submission to after its end.
    Wall,
}

/// The time of one dispatch.
#[derive(Clone, Debug, Serialize)]
pub struct DispatchTime {
    /// The kernel's files and entry point.
    pub label: String,
    /// Seconds.
    pub seconds: f64,
    /// What they were taken with.
    pub clock: Clock,
}

impl Program {
    /// Times each dispatch by itself, with the copies that follow it: the shortest of several runs of many replays.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn profile(&self, gpu: &Gpu) -> Result<Vec<DispatchTime>, Error> {
        let stopwatch = Stopwatch::new(gpu)?;
        let shortest = |dispatch: &Dispatch| {
            let (time, clock) = stopwatch.shortest(gpu, dispatch)?;
            Ok(DispatchTime { label: dispatch.label().to_owned(), seconds: time.as_secs_f64(), clock })
        };
        self.dispatches().iter().map(shortest).collect()
    }
}

/// The clock of an adapter.
struct Stopwatch {
    timestamps: Option<Timestamps>,
}

/// Two timestamps, and the way of their values to the host.
struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// `(1, 4)`, two numbers of 64 bits.
    ticks: Tensor,
}

impl Stopwatch {
    fn new(gpu: &Gpu) -> Result<Stopwatch, Error> {
        let device = &gpu.inner.device;
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Stopwatch { timestamps: None });
        }
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let ticks = Tensor::zeros(gpu, 1, 4)?;
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: ticks.bytes(),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        gpu.check("making timestamps")?;
        Ok(Stopwatch { timestamps: Some(Timestamps { queries, resolved, ticks }) })
    }

    /// The shortest time of one replay over several runs.
    fn shortest(&self, gpu: &Gpu, dispatch: &Dispatch) -> Result<(Duration, Clock), Error> {
        const RUNS: usize = 6;
        /// What one run should take: long enough for the submission, or for a coarse clock, not to count.
        const RUN: Duration = Duration::from_millis(5);
        // The first run compiles.
        self.time(gpu, dispatch, 1)?;
        let mut shortest = self.time(gpu, dispatch, 1)?;
        for _ in 0..RUNS {
            let times = (RUN.as_nanos() / shortest.0.as_nanos().max(1)).clamp(1, 1000) as u32;
            let again = self.time(gpu, dispatch, times)?;
            shortest = if again.0 < shortest.0 { again } else { shortest };
        }
        Ok(shortest)
    }

    /// How long one replay of a dispatch takes, of `times` in one submission.
    fn time(&self, gpu: &Gpu, dispatch: &Dispatch, times: u32) -> Result<(Duration, Clock), Error> {
        match &self.timestamps {
            Some(timestamps) if !dispatch.has_copies() => timestamps.time(gpu, dispatch, times),
            _ => Ok((dispatch::time(gpu, dispatch, times)?, Clock::Wall)),
        }
    }
}

impl Timestamps {
    fn time(&self, gpu: &Gpu, dispatch: &Dispatch, times: u32) -> Result<(Duration, Clock), Error> {
        let mut encoder = gpu.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        });
        (0..times).for_each(|_| dispatch.record(&mut pass));
        drop(pass);
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, self.ticks.raw().0, 0, self.ticks.bytes());
        let start = Instant::now();
        gpu.inner.queue.submit([encoder.finish()]);
        gpu.wait()?;
        let wall = start.elapsed() / times;
        let ticks: Vec<u64> = self.ticks.read(gpu)?;
        // Some drivers offer timestamps and leave them at zero.
        let Some(passed) = ticks[1].checked_sub(ticks[0]).filter(|passed| *passed > 0) else {
            return Ok((wall, Clock::Wall));
        };
        let nanoseconds = passed as f64 * f64::from(gpu.inner.queue.get_timestamp_period());
        Ok((Duration::from_secs_f64(1e-9 * nanoseconds / f64::from(times)), Clock::Gpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::AdapterRequest;
    use crate::peak;

    #[test]
    fn the_clocks_agree_on_what_takes_long() -> Result<(), Error> {
        let gpu = Gpu::open(&AdapterRequest::default())?;
        let result = Tensor::zeros(&gpu, 4096, 4)?;
        let mut program = Program::default();
        for rounds in [1 << 12, 1 << 6] {
            program.push(peak::multiply_adds(&gpu, rounds, &result)?);
        }
        let times = program.profile(&gpu)?;
        let wall = (0..5).map(|_| dispatch::time(&gpu, &program.dispatches()[0], 1)).collect::<Result<Vec<_>, _>>()?;
        let wall = wall.into_iter().min().expect("five times").as_secs_f64();
        let (long, short) = (times[0].seconds, times[1].seconds);
        // On a machine that others use too.
        assert!(long > wall / 4.0 && long < 4.0 * wall, "{times:?}, by the wall clock {wall}");
        assert!(short > 0.0 && 4.0 * short < long, "{times:?}");
        let able = gpu.inner.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        assert!(able || times.iter().all(|time| time.clock == Clock::Wall), "{times:?}");
        Ok(())
    }
}
