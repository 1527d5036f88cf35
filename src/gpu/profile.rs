//! Times single dispatches: for a profile, and for the choice among several kernels.
//!
//! Many replays of a dispatch are one compute pass, and the GPU's own clock is read at the beginning and the end of the
//! pass. The wall clock also counts the cost of a submission, which is many times that of a short dispatch. It is used
//! on adapters without timestamps, and for a dispatch that is followed by copies to textures, since copies are outside
//! of any pass. Only adapters that run on a CPU have such copies, and there a dispatch takes longer than a submission.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Dispatch, Gpu, Program, Tensor, dispatch};
use crate::Error;

/// The clock of a measurement.
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
    /// The clock that measured them.
    pub clock: Clock,
}

impl Program {
    /// Times each dispatch separately, with the copies that follow it: the shortest of several runs of many replays.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn profile(&self, gpu: &Gpu) -> Result<Vec<DispatchTime>, Error> {
        let stopwatch = Stopwatch::new(gpu)?;
        let shortest = |dispatch: &Dispatch| {
            let (time, clock) = stopwatch.shortest(gpu, std::slice::from_ref(dispatch))?;
            Ok(DispatchTime { label: dispatch.label().to_owned(), seconds: time.as_secs_f64(), clock })
        };
        self.dispatches().iter().map(shortest).collect()
    }
}

/// A time, and the clock that measured it.
pub(super) type Timing = (Duration, Clock);

/// The time of each of several lists of dispatches, and its clock: the shortest of a few runs, in turn. The tensors that they
/// write are restored.
///
/// Those that the driver refuses have an error instead. The whole fails if the device was lost.
pub(super) fn shortest_times(gpu: &Gpu, lists: &[Vec<Dispatch>]) -> Result<Vec<Result<Timing, Error>>, Error> {
    const RUNS: usize = 4;
    /// The target duration of a run: the cost of the submission is then negligible.
    const RUN: Duration = Duration::from_millis(2);
    /// One that takes this multiple of the shortest time is not measured again.
    const FAR: u32 = 4;
    // All use the same clock: on a CPU, some dispatches are followed by copies to textures.
    let stopwatch = if gpu.adapter().is_software() { Stopwatch::WALL } else { Stopwatch::new(gpu)? };
    let before = Copies::of(gpu, lists)?;
    let mut shortest = Vec::new();
    for dispatches in lists {
        // The first run compiles. An error may be that of another kernel, which compiles at the same time: the second tells.
        let first = stopwatch.time(gpu, dispatches, 1).or_else(|_| stopwatch.time(gpu, dispatches, 1));
        shortest.push(first.map(|_| (Duration::MAX, Clock::Wall)));
        if gpu.is_lost() {
            break;
        }
    }
    for round in 0..RUNS {
        let fastest = shortest.iter().flatten().map(|(time, _)| *time).min().unwrap_or_default();
        for (shortest, dispatches) in shortest.iter_mut().zip(lists) {
            let Ok(shortest) = shortest else { continue };
            // The first round is a short one, while a GPU's clock still rises.
            if round > 1 && shortest.0 > FAR * fastest {
                continue;
            }
            let once = shortest.0.min(RUN);
            let times = (RUN.as_nanos() / once.as_nanos().max(1)).clamp(1, 100) as u32;
            let again = stopwatch.time(gpu, dispatches, times)?;
            *shortest = if again.0 < shortest.0 { again } else { *shortest };
        }
    }
    before.put_back(gpu);
    if gpu.is_lost() {
        return Err(Error::Gpu { operation: "measuring kernels", reason: "the device was lost".to_owned() });
    }
    Ok(shortest)
}

/// Copies of the tensors that some dispatches write.
struct Copies(Vec<[Tensor; 2]>);

impl Copies {
    /// Makes the copies.
    fn of(gpu: &Gpu, lists: &[Vec<Dispatch>]) -> Result<Copies, Error> {
        let mut copies: Vec<[Tensor; 2]> = Vec::new();
        for tensor in lists.iter().flatten().flat_map(|dispatch| dispatch.written()) {
            if !copies.iter().any(|[original, _]| original.is_same(tensor)) {
                copies.push([tensor.clone(), Tensor::zeros(gpu, tensor.rows(), tensor.columns())?]);
            }
        }
        gpu.submit(|encoder| copies.iter().for_each(|[original, copy]| original.record_copy_to(copy, encoder)));
        Ok(Copies(copies))
    }

    fn put_back(&self, gpu: &Gpu) {
        gpu.submit(|encoder| {
            for [original, copy] in &self.0 {
                copy.record_copy_to(original, encoder);
                if let Some(texture) = original.existing_texture() {
                    texture.record_copy(encoder);
                }
            }
        });
    }
}

/// The clock of an adapter.
struct Stopwatch {
    timestamps: Option<Timestamps>,
}

/// Two timestamps, and the buffers that bring them to the host.
struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// `(1, 4)`, two numbers of 64 bits.
    ticks: Tensor,
}

impl Stopwatch {
    const WALL: Stopwatch = Stopwatch { timestamps: None };

    fn new(gpu: &Gpu) -> Result<Stopwatch, Error> {
        let device = &gpu.inner.device;
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Stopwatch::WALL);
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
    fn shortest(&self, gpu: &Gpu, dispatches: &[Dispatch]) -> Result<Timing, Error> {
        const RUNS: usize = 6;
        /// The target duration of a run: the cost of the submission, and the error of a coarse clock, are then
        /// negligible.
        const RUN: Duration = Duration::from_millis(5);
        // The first run compiles.
        self.time(gpu, dispatches, 1)?;
        let mut shortest = self.time(gpu, dispatches, 1)?;
        for _ in 0..RUNS {
            let times = (RUN.as_nanos() / shortest.0.as_nanos().max(1)).clamp(1, 1000) as u32;
            let again = self.time(gpu, dispatches, times)?;
            shortest = if again.0 < shortest.0 { again } else { shortest };
        }
        Ok(shortest)
    }

    /// The time of one replay of dispatches, from `times` replays in one submission.
    fn time(&self, gpu: &Gpu, dispatches: &[Dispatch], times: u32) -> Result<Timing, Error> {
        let copies = dispatches.iter().any(Dispatch::has_copies);
        match &self.timestamps {
            Some(timestamps) if !copies => timestamps.time(gpu, dispatches, times),
            _ => Ok((dispatch::time(gpu, dispatches, times)?, Clock::Wall)),
        }
    }
}

impl Timestamps {
    fn time(&self, gpu: &Gpu, dispatches: &[Dispatch], times: u32) -> Result<Timing, Error> {
        let mut encoder = gpu.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        });
        (0..times).flat_map(|_| dispatches).for_each(|dispatch| dispatch.record(&mut pass));
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
    use crate::gpu::peak;

    #[test]
    fn the_clocks_agree_on_what_takes_long() -> Result<(), Error> {
        let gpu = Gpu::open(&AdapterRequest::default())?;
        let result = Tensor::zeros(&gpu, 4096, 4)?;
        let mut program = Program::default();
        for rounds in [1 << 12, 1 << 6] {
            program.push(peak::multiply_adds(&gpu, rounds, &result)?);
        }
        let times = program.profile(&gpu)?;
        let wall =
            (0..5).map(|_| dispatch::time(&gpu, &program.dispatches()[..1], 1)).collect::<Result<Vec<_>, _>>()?;
        let wall = wall.into_iter().min().expect("five times").as_secs_f64();
        let (long, short) = (times[0].seconds, times[1].seconds);
        // Loose bounds: others may use the machine too.
        assert!(long > wall / 4.0 && long < 4.0 * wall, "{times:?}, by the wall clock {wall}");
        assert!(short > 0.0 && 4.0 * short < long, "{times:?}");
        let able = gpu.inner.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        assert!(able || times.iter().all(|time| time.clock == Clock::Wall), "{times:?}");
        Ok(())
    }

    #[test]
    fn the_dispatch_with_less_to_do_is_the_fastest_and_its_result_is_put_back() -> Result<(), Error> {
        let gpu = Gpu::open(&AdapterRequest::default())?;
        let result = Tensor::from_values(&gpu, 4096, 4, &[7f32; 4096 * 4])?;
        let dispatches: Vec<_> = [1 << 10, 1, 1 << 12]
            .map(|rounds| Ok(vec![peak::multiply_adds(&gpu, rounds, &result)?]))
            .into_iter()
            .collect::<Result<_, Error>>()?;
        let times = shortest_times(&gpu, &dispatches)?;
        let times = times.into_iter().collect::<Result<Vec<_>, _>>()?;
        assert!(times[1].0 < times[0].0 && times[0].0 < times[2].0, "{times:?}");
        // Timing it left the tensor unchanged.
        assert!(result.read::<f32>(&gpu)?.iter().all(|value| *value == 7.0));
        Ok(())
    }
}
