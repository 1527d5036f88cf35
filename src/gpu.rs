//! The GPU: the only place that names `wgpu`.
//!
//! A [`Gpu`] is an open device. A [`Kernel`] is a pipeline with its reflected bindings, a [`Dispatch`] is a kernel with
//! its tensors and grid, a [`Program`] is a list of dispatches that is recorded once and replayed. A [`Tensor`] is a
//! region of a GPU buffer, an [`Arena`] is one buffer that holds many named tensors.

mod adapter;
mod arena;
mod cache;
mod dispatch;
mod host;
mod kernel;
mod launch;
mod listing;
mod part;
pub mod peak;
mod profile;
mod readback;
mod shader;
mod tensor;
mod texture;
mod tuner;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use adapter::{AdapterRequest, AdapterSummary, Backend, adapters};
pub use arena::Arena;
pub use dispatch::{Dispatch, Program};
pub use host::HostTime;
pub use kernel::Kernel;
pub use launch::Launch;
pub use listing::{ListedDispatch, Listing, Place};
pub use part::Part;
pub use profile::{Clock, DispatchTime};
pub use readback::Readback;
pub use shader::Shader;
pub use tensor::Tensor;
pub use texture::TEXTURE_WIDTH;
pub use tuner::{Candidate, Choice, Comparison, KernelRequest, KernelTable};

pub use crate::shaders::Source;
pub(crate) use crate::shaders::source;

use crate::Error;

/// What a person can change if a tensor is too large. Parameters and data that are have messages of their own.
const TOO_LARGE: &str =
    "use a smaller --batch-size or --micro-batch-size, fewer --samples, or narrower layers (--hidden)";

/// An open device with its queue and the kernels compiled for it. Clones share the device.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    adapter: AdapterSummary,
    checks: bool,
    request: KernelRequest,
    /// The choices known when the device was opened: from a run, or from the cache.
    known: KernelTable,
    /// The choices made so far.
    table: Mutex<KernelTable>,
    /// The choices that were measured.
    kept: Mutex<KernelTable>,
    /// Whether every write of them to the cache has worked so far.
    keeps: AtomicBool,
    /// Whether there was time for every measurement so far.
    in_time: AtomicBool,
    /// The adapter's peak, once it was measured: the time of an empty dispatch, and operations per second.
    peak: Mutex<Option<(Duration, f64)>>,
    /// The time that measuring kernels has taken so far.
    measuring: Mutex<Duration>,
    /// The measurements, if all candidates are compared.
    comparisons: Mutex<Vec<Comparison>>,
    notify: Option<fn(&str)>,
    /// The driver's cache of compiled pipelines, if it has one.
    pipelines: Option<wgpu::PipelineCache>,
    shaders: Mutex<HashMap<String, Arc<Shader>>>,
    kernels: Mutex<HashMap<kernel::Key, Arc<Kernel>>>,
    allocated: Arc<AtomicU64>,
    /// The driver's first error, kept until [`Gpu::check`] reports it.
    complaint: Arc<Mutex<Option<String>>>,
    lost: Arc<AtomicBool>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({})", self.inner.adapter)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(data) = self.pipelines.as_ref().and_then(wgpu::PipelineCache::get_data)
            && cache::pipelines(&self.adapter).as_ref() != Some(&data)
        {
            cache::keep_pipelines(&self.adapter, &data);
        }
    }
}

impl Gpu {
    /// Opens the adapter that fits the request best; a real GPU is preferred to a software adapter.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] if no adapter fits, with the adapters that exist and what to do; [`Error::Gpu`] if the driver
    /// refuses to open it.
    pub fn open(request: &AdapterRequest) -> Result<Gpu, Error> {
        let (adapter, summary) = adapter::choose(request)?;
        let browser = request.as_in_browsers;
        // wgpu's defaults are WebGPU's.
        let mut limits = if browser { wgpu::Limits::default() } else { adapter.limits() };
        if let Some(most) = request.most_binding_bytes {
            limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most);
        }
        let optional = if browser { wgpu::Features::empty() } else { adapter::OPTIONAL_FEATURES };
        let required_features = adapter.features() & optional;
        let (requested, known) = tuner::known(request, &summary);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("elbo"),
            required_features,
            required_limits: limits,
            ..Default::default()
        }))
        .map_err(|error| Error::Gpu { operation: "opening the adapter", reason: error.to_string() })?;

        let complaint = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&complaint);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&slot).get_or_insert_with(|| one_line(&error.to_string()));
        }));
        let slot = Arc::clone(&complaint);
        let lost = Arc::new(AtomicBool::new(false));
        let is_lost = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                is_lost.store(true, Ordering::Relaxed);
                lock(&slot).get_or_insert_with(|| format!("the device was lost: {}", one_line(&message)));
            }
        });
        let pipelines = required_features.contains(wgpu::Features::PIPELINE_CACHE).then(|| {
            let data = cache::pipelines(&summary);
            let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: data.as_deref(), fallback: true };
            // SAFETY: the data are what `get_data` returned, from a file that only this program writes; wgpu compares their
            // header with the adapter and the driver.
            #[allow(unsafe_code, reason = "the only way there is to use a driver's cache")]
            unsafe {
                device.create_pipeline_cache(&descriptor)
            }
        });
        Ok(Gpu {
            inner: Arc::new(Inner {
                device,
                queue,
                pipelines,
                adapter: summary,
                checks: request.shader_checks,
                request: requested,
                known,
                table: Mutex::default(),
                kept: Mutex::default(),
                keeps: AtomicBool::new(true),
                in_time: AtomicBool::new(true),
                peak: Mutex::default(),
                measuring: Mutex::default(),
                comparisons: Mutex::default(),
                notify: request.notify,
                shaders: Mutex::default(),
                kernels: Mutex::default(),
                allocated: Arc::default(),
                complaint,
                lost,
            }),
        })
    }

    /// The adapter in use.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.inner.adapter
    }

    /// Whether the shaders check their indices and loops at run time.
    pub fn shader_checks(&self) -> bool {
        self.inner.checks
    }

    /// Whether kernels can and should load words of 64 bits: on a CPU, which loads lane by lane.
    pub fn has_wide_words(&self) -> bool {
        self.adapter().is_software() && self.inner.device.features().contains(wgpu::Features::SHADER_INT64)
    }

    /// Whether every subgroup has the given number of threads.
    pub fn has_subgroups_of(&self, threads: u32) -> bool {
        let sizes = self.adapter().subgroup_sizes;
        self.inner.device.features().contains(wgpu::Features::SUBGROUP) && sizes == [threads, threads]
    }

    /// Whether the device was lost: nothing runs on it any more.
    pub fn is_lost(&self) -> bool {
        self.inner.lost.load(Ordering::Relaxed)
    }

    /// Destroys the device, as a reset of the driver does: to test what follows.
    pub fn lose(&self) {
        self.inner.lost.store(true, Ordering::Relaxed);
        lock(&self.inner.complaint).get_or_insert_with(|| "the device was lost".to_owned());
        self.inner.device.destroy();
    }

    /// Whether every subgroup has at least the given number of threads, a power of two up to 32.
    pub fn has_subgroups_of_at_least(&self, threads: u32) -> bool {
        let AdapterSummary { subgroup_sizes: [smallest, _], backend, name, .. } = self.adapter();
        // wgpu reports the sizes that Metal allows, not those that Apple's GPUs have.
        let has_32 = backend == "metal" && name.starts_with("Apple");
        self.inner.device.features().contains(wgpu::Features::SUBGROUP) && (*smallest >= threads || has_32)
    }

    /// Whether kernels may read tensors as textures.
    pub fn reads_textures(&self) -> bool {
        self.inner.device.features().contains(wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES)
    }

    /// Bytes of GPU memory that tensors use now, including tensors that only a dispatch still refers to.
    pub fn allocated_bytes(&self) -> u64 {
        self.inner.allocated.load(Ordering::Relaxed)
    }

    /// Waits until the GPU has done all the work submitted so far.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost or the driver refused something since the last check.
    pub fn wait(&self) -> Result<(), Error> {
        let waited = self.inner.device.poll(wgpu::PollType::wait_indefinitely());
        self.check("waiting for the GPU")?;
        waited.map_err(|error| Error::Gpu { operation: "waiting for the GPU", reason: error.to_string() })?;
        Ok(())
    }

    /// Reports the driver's errors since the last check. They arrive asynchronously.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] with the first of them.
    pub fn check(&self, operation: &'static str) -> Result<(), Error> {
        match lock(&self.inner.complaint).take() {
            Some(reason) => Err(Error::Gpu { operation, reason }),
            None => Ok(()),
        }
    }

    /// Replays a program `times` times in one submission, without waiting for it.
    pub fn run(&self, program: &Program, times: u32) {
        self.submit(|encoder| program.record(encoder, times));
    }

    /// Submits what `record` records.
    fn submit(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let mut encoder = self.inner.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        record(&mut encoder);
        self.inner.queue.submit([encoder.finish()]);
    }

    /// Tells the user something that does not affect the result.
    fn note(&self, note: &str) {
        if let Some(notify) = self.inner.notify {
            notify(note);
        }
    }
}

/// Locks a mutex whose data stay valid if a thread panics while it holds the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message as one line, since errors are one line.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
