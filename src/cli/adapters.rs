//! `elbo adapters`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::gpu::{AdapterSummary, Gpu, adapters};

use super::{GpuArgs, say, say_json};

/// List the GPU adapters, and mark the one that would be chosen
///
/// Exits with 2 if there is none that Elbo can run on.
#[derive(Args)]
pub struct Adapters {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

impl Adapters {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let (found, chosen) = adapters(&gpu.request())?;
        if self.json {
            say_json(&found)?;
        } else {
            for adapter in &found {
                say(row(adapter, chosen))?;
            }
            // If one API is requested, the others are not examined.
            let all = gpu.request().backend.is_none() && std::env::var_os("WGPU_BACKEND").is_none();
            if let Some(advice) = chosen.filter(|_| all).and_then(|index| found[index].advice()) {
                say(advice)?;
            }
        }
        // Opening fails with an error that says what to do.
        if chosen.is_none() {
            Gpu::open(&gpu.request())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(adapter: &AdapterSummary, chosen: Option<usize>) -> String {
    const MIB: u64 = 1 << 20;
    const KIB: u32 = 1 << 10;
    let [smallest, largest] = adapter.subgroup_sizes;
    let mark = if chosen == Some(adapter.index) { '*' } else { ' ' };
    let note = if adapter.usable { "" } else { ", not usable: too few storage buffers or no compute shaders" };
    format!(
        "{mark} [{}] {adapter}\n      buffers up to {} MiB, {} MiB in a binding, {} storage buffers a shader{note}\n      \
         workgroups of {} threads with {} KiB, subgroups of {smallest} to {largest}, {}timestamps",
        adapter.index,
        adapter.max_buffer_bytes / MIB,
        adapter.max_binding_bytes / MIB,
        adapter.max_storage_buffers,
        adapter.max_workgroup_threads,
        adapter.max_workgroup_bytes / KIB,
        if adapter.timestamps { "" } else { "no " },
    )
}
