//! Finds adapters and chooses one.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::KernelRequest;
use crate::Error;

/// The most storage buffers that one kernel binds; wgpu's default limit, so any adapter with compute shaders has it.
pub(super) const STORAGE_BUFFERS: u32 = 8;

/// Which adapter to open.
#[derive(Clone, Debug, Default)]
pub struct AdapterRequest {
    /// An index as `elbo adapters` lists it, or part of a name, in upper or lower case. `WGPU_ADAPTER_NAME` is used if
    /// absent.
    pub adapter: Option<String>,
    /// The API to use; `WGPU_BACKEND` is used if absent, and all of them if that is not set either.
    pub backend: Option<Backend>,
    /// Whether shaders check their indices and loops at run time: slower, for finding faults.
    pub shader_checks: bool,
    /// How the kernels for products are chosen.
    pub kernels: KernelRequest,
    /// The most bytes of a binding, if the adapter allows more: it is then used like a smaller one, as in tests.
    pub most_binding_bytes: Option<u64>,
    /// Whether the adapter is used as in browsers: with WebGPU's default limits, and without optional features. What is recorded can
    /// then be replayed there.
    pub as_in_browsers: bool,
    /// Called with a line for the user about something that does not affect the result, such as a cache that cannot be
    /// written.
    pub notify: Option<fn(&str)>,
}

/// A graphics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Linux, Windows, Android.
    Vulkan,
    /// macOS, iOS.
    Metal,
    /// Windows.
    Dx12,
    /// OpenGL (ES) 3.1 or newer, where nothing else is found.
    Gl,
}

/// The properties of an adapter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdapterSummary {
    /// Its place in the list of adapters, for `--adapter`.
    pub index: usize,
    /// The name that the driver gives.
    pub name: String,
    /// The API.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's version.
    pub driver_version: String,
    /// The largest size of a buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// The largest part of a buffer that a shader may bind, in bytes.
    pub max_binding_bytes: u64,
    /// Storage buffers that a shader may use.
    pub max_storage_buffers: u32,
    /// Threads that a workgroup may have.
    #[serde(default)]
    pub max_workgroup_threads: u32,
    /// Bytes that a workgroup may share.
    #[serde(default)]
    pub max_workgroup_bytes: u32,
    /// The smallest and the largest subgroup, in threads; 0 if the driver does not say.
    #[serde(default)]
    pub subgroup_sizes: [u32; 2],
    /// Whether it can time dispatches with its own clock.
    #[serde(default)]
    pub timestamps: bool,
    /// Whether Elbo can run on it.
    pub usable: bool,
}

impl AdapterSummary {
    /// Whether it runs on the CPU.
    pub fn is_software(&self) -> bool {
        self.kind == SOFTWARE
    }

    /// Advice for more speed, if there is any: a software adapter on GL cannot run the kernels for CPUs.
    pub fn advice(&self) -> Option<String> {
        let slow = self.is_software() && self.backend == "gl";
        slow.then(|| {
            format!(
                "only GL on the CPU was found; a Vulkan driver is two to three times as fast: {}",
                installation_advice()
            )
        })
    }
}

/// The kind of adapters that run on the CPU.
const SOFTWARE: &str = "software";

impl fmt::Display for AdapterSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.backend, self.kind)?;
        for part in [&self.driver, &self.driver_version] {
            if !part.is_empty() {
                write!(f, ", {part}")?;
            }
        }
        f.write_str(")")
    }
}

/// Lists the adapters of a backend, or of all, in the driver's order, with the index of the one that would be chosen.
///
/// # Errors
///
/// [`Error::Adapter`] if the request names an adapter that does not exist.
pub fn adapters(request: &AdapterRequest) -> Result<(Vec<AdapterSummary>, Option<usize>), Error> {
    let summaries: Vec<_> = enumerate(request)?.into_iter().map(|(_, summary)| summary).collect();
    match pick(&summaries, request) {
        Ok(index) => Ok((summaries, Some(index))),
        Err(_) if wanted(request).is_none() => Ok((summaries, None)),
        Err(error) => Err(error),
    }
}

/// Features that kernels and measurements use if the adapter has them.
pub(super) const OPTIONAL_FEATURES: wgpu::Features = wgpu::Features::PIPELINE_CACHE
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES);

pub(super) fn choose(request: &AdapterRequest) -> Result<(wgpu::Adapter, AdapterSummary), Error> {
    let mut found = enumerate(request)?;
    let summaries: Vec<_> = found.iter().map(|(_, summary)| summary.clone()).collect();
    let index = pick(&summaries, request)?;
    Ok(found.swap_remove(index))
}

/// The adapters of the graphics API that was asked for.
fn enumerate(request: &AdapterRequest) -> Result<Vec<(wgpu::Adapter, AdapterSummary)>, Error> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    if let Some(backend) = request.backend {
        descriptor.backends = match backend {
            Backend::Vulkan => wgpu::Backends::VULKAN,
            Backend::Metal => wgpu::Backends::METAL,
            Backend::Dx12 => wgpu::Backends::DX12,
            Backend::Gl => wgpu::Backends::GL,
        };
    }
    let found = of_instance(descriptor);
    if found.is_empty() { refuse_others(request).map(|()| found) } else { Ok(found) }
}

fn of_instance(descriptor: wgpu::InstanceDescriptor) -> Vec<(wgpu::Adapter, AdapterSummary)> {
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(backends));
    adapters.into_iter().enumerate().map(|(index, adapter)| (adapter.clone(), summarise(index, &adapter))).collect()
}

/// Fails if a graphics API was asked for and there are adapters of others.
fn refuse_others(request: &AdapterRequest) -> Result<(), Error> {
    let by_variable = || std::env::var("WGPU_BACKEND").ok().map(|name| format!("WGPU_BACKEND={name}"));
    let by_flag = request.backend.map(|backend| format!("--backend {}", format!("{backend:?}").to_lowercase()));
    let Some(asked) = by_flag.or_else(by_variable) else { return Ok(()) };
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends = wgpu::Backends::all();
    let others: Vec<_> = of_instance(descriptor).into_iter().map(|(_, summary)| summary).collect();
    if others.is_empty() {
        return Ok(());
    }
    let advice = if asked.ends_with("vulkan") { format!("; {}", installation_advice()) } else { String::new() };
    Err(Error::Adapter { reason: format!("none has what {asked} asks for; there are: {}{advice}", listing(&others)) })
}

fn summarise(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let compute = adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    AdapterSummary {
        index,
        name: info.name,
        backend: info.backend.to_str().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => SOFTWARE,
            wgpu::DeviceType::Other => "other",
        }
        .to_owned(),
        driver: info.driver,
        driver_version: info.driver_info,
        max_buffer_bytes: limits.max_buffer_size,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_workgroup_threads: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
        timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        usable: compute && limits.max_storage_buffers_per_shader_stage >= STORAGE_BUFFERS,
    }
}

/// The name or index that the user asked for.
fn wanted(request: &AdapterRequest) -> Option<String> {
    request.adapter.clone().or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok()).filter(|name| !name.is_empty())
}

fn pick(found: &[AdapterSummary], request: &AdapterRequest) -> Result<usize, Error> {
    if found.is_empty() {
        return Err(Error::Adapter { reason: format!("no driver was found; {}", installation_advice()) });
    }
    let Some(wanted) = wanted(request) else {
        let low_power =
            wgpu::PowerPreference::from_env().is_some_and(|preference| preference == wgpu::PowerPreference::LowPower);
        let best = found.iter().filter(|adapter| adapter.usable).min_by_key(|adapter| rank(adapter, low_power));
        return best.map(|adapter| adapter.index).ok_or_else(|| Error::Adapter {
            reason: format!(
                "none of these has compute shaders with {STORAGE_BUFFERS} storage buffers: {}; {}",
                listing(found),
                installation_advice()
            ),
        });
    };
    let matched = match wanted.parse::<usize>() {
        Ok(index) => found.get(index),
        Err(_) => {
            let name = wanted.to_lowercase();
            let matches = found.iter().filter(|adapter| adapter.name.to_lowercase().contains(&name));
            matches.min_by_key(|adapter| rank(adapter, false))
        }
    };
    match matched {
        Some(adapter) if adapter.usable => Ok(adapter.index),
        Some(adapter) => Err(Error::Adapter {
            reason: format!(
                "{adapter} has no compute shaders with {STORAGE_BUFFERS} storage buffers; there are: {}",
                listing(found)
            ),
        }),
        None => Err(Error::Adapter { reason: format!("nothing matches `{wanted}`; there are: {}", listing(found)) }),
    }
}

/// Smaller is better: the kind of device, then how well the API is supported, then the driver's order.
fn rank(adapter: &AdapterSummary, low_power: bool) -> (u8, u8, usize) {
    let kind = match (adapter.kind.as_str(), low_power) {
        ("discrete", false) | ("integrated", true) => 0,
        ("discrete" | "integrated", _) => 1,
        ("virtual", _) => 2,
        ("other", _) => 3,
        _ => 4,
    };
    (kind, u8::from(adapter.backend == "gl"), adapter.index)
}

fn listing(found: &[AdapterSummary]) -> String {
    found.iter().map(|adapter| format!("[{}] {adapter}", adapter.index)).collect::<Vec<_>>().join(", ")
}

fn installation_advice() -> &'static str {
    if cfg!(target_os = "linux") {
        "install your card's Vulkan driver, or a software one: `apt install mesa-vulkan-drivers` (Debian, Ubuntu), \
         `dnf install mesa-vulkan-drivers` (Fedora), `pacman -S vulkan-swrast` (Arch)"
    } else if cfg!(target_os = "windows") {
        "install your card's current driver, which brings DX12 and Vulkan; DX12's software adapter, WARP, is part of \
         Windows 10 and newer"
    } else if cfg!(target_os = "macos") {
        "Elbo needs Metal, which every Mac since 2012 has; check that this process may use the GPU"
    } else {
        "install a Vulkan driver"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, backend: &str, kind: &str) -> AdapterSummary {
        AdapterSummary {
            index,
            name: name.to_owned(),
            backend: backend.to_owned(),
            kind: kind.to_owned(),
            driver: String::new(),
            driver_version: String::new(),
            max_buffer_bytes: 0,
            max_binding_bytes: 0,
            max_storage_buffers: 8,
            max_workgroup_threads: 256,
            max_workgroup_bytes: 16_384,
            subgroup_sizes: [0, 0],
            timestamps: false,
            usable: true,
        }
    }

    fn named(name: &str) -> AdapterRequest {
        AdapterRequest { adapter: Some(name.to_owned()), ..Default::default() }
    }

    #[test]
    fn a_real_gpu_is_preferred_to_a_software_adapter_and_vulkan_to_gl() {
        let found = [
            adapter(0, "llvmpipe", "vulkan", "software"),
            adapter(1, "Radeon", "gl", "discrete"),
            adapter(2, "Radeon", "vulkan", "discrete"),
            adapter(3, "Iris", "vulkan", "integrated"),
        ];
        assert_eq!(found.iter().min_by_key(|a| rank(a, false)).map(|a| a.index), Some(2));
        assert_eq!(found.iter().min_by_key(|a| rank(a, true)).map(|a| a.index), Some(3));
    }

    #[test]
    fn adapters_are_found_by_index_and_by_part_of_the_name() -> Result<(), Error> {
        let found = [adapter(0, "llvmpipe", "vulkan", "software"), adapter(1, "AMD Radeon", "vulkan", "discrete")];
        assert_eq!(pick(&found, &named("1"))?, 1);
        assert_eq!(pick(&found, &named("LLVM"))?, 0);
        Ok(())
    }

    #[test]
    fn an_unknown_adapter_is_answered_with_the_list() {
        let found = [adapter(0, "llvmpipe", "vulkan", "software")];
        for name in ["GeForce", "7"] {
            let message = pick(&found, &named(name)).expect_err("matches nothing").to_string();
            assert!(message.contains(name) && message.contains("[0] llvmpipe"), "{message}");
        }
    }

    #[test]
    fn without_any_adapter_the_error_says_what_to_install() {
        let message = pick(&[], &AdapterRequest::default()).expect_err("there is none").to_string();
        assert!(message.contains("install") || message.contains("Metal"), "{message}");
    }

    #[test]
    fn software_gl_comes_with_advice() {
        let advice = adapter(0, "llvmpipe", "gl", "software").advice().expect("there is something faster");
        assert!(advice.contains("Vulkan") && (advice.contains("install") || advice.contains("Metal")), "{advice}");
        for (backend, kind) in [("vulkan", "software"), ("gl", "discrete")] {
            assert_eq!(adapter(0, "llvmpipe", backend, kind).advice(), None);
        }
    }

    #[test]
    fn an_adapter_without_compute_is_not_chosen() {
        let unusable = AdapterSummary { usable: false, ..adapter(0, "old", "gl", "integrated") };
        let message = pick(std::slice::from_ref(&unusable), &named("old")).expect_err("unusable").to_string();
        assert!(message.contains("compute shaders"), "{message}");
    }
}
