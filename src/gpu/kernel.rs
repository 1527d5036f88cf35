//! Kernels: compute pipelines whose bindings and workgroup size are read from the WGSL.
//!
//! Pipelines are compiled on threads of their own. Recording a program does not wait for them; the first use of a
//! pipeline does.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use super::shader::{Access, Binding, Shader};
use super::{Gpu, Inner, lock};
use crate::Error;
use crate::shaders::Source;

/// A compute pipeline and the data that a dispatch of it needs.
pub struct Kernel {
    pub(super) label: String,
    pipeline: Compiling,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) bindings: Vec<Binding>,
    pub(super) workgroup_size: [u32; 3],
    shader: Arc<Shader>,
    entry: String,
    overrides: Vec<(String, f64)>,
}

/// The identity of a kernel: its files, its entry point, and the names and bits of its overrides.
pub(super) type Key = (String, String, Vec<(String, u64)>);

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.label)
    }
}

impl Gpu {
    /// Parses a shader, or returns it if it was parsed before.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if it does not compile.
    pub fn shader(&self, source: &Source) -> Result<Arc<Shader>, Error> {
        let label = source.label();
        let mut shaders = lock(&self.inner.shaders);
        if let Some(shader) = shaders.get(&label) {
            return Ok(Arc::clone(shader));
        }
        let shader = Arc::new(Shader::parse(source)?);
        shaders.insert(label, Arc::clone(&shader));
        Ok(shader)
    }

    /// Makes a kernel of one entry point, or returns it if it was made before.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the shader does not compile, has no such entry point, or the overrides do not fit it.
    pub(super) fn kernel(&self, source: &Source, entry: &str, overrides: &[(&str, f64)]) -> Result<Arc<Kernel>, Error> {
        let values = overrides.iter().map(|(name, value)| ((*name).to_owned(), value.to_bits())).collect();
        let key: Key = (source.label(), entry.to_owned(), values);
        if let Some(kernel) = lock(&self.inner.kernels).get(&key) {
            return Ok(Arc::clone(kernel));
        }
        let kernel = Arc::new(self.build_kernel(&self.shader(source)?, entry, overrides)?);
        lock(&self.inner.kernels).insert(key, Arc::clone(&kernel));
        Ok(kernel)
    }

    fn build_kernel(&self, shader: &Arc<Shader>, entry: &str, overrides: &[(&str, f64)]) -> Result<Kernel, Error> {
        shader.check_overrides(overrides)?;
        let (bindings, workgroup_size) = shader.reflect(entry)?;
        let label = format!("{}:{entry}", shader.label);
        let entries: Vec<_> = bindings.iter().map(layout_entry).collect();
        let layout = self
            .inner
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let Inner { device, pipelines, checks, .. } = &*self.inner;
        let compiler = Compiler { device: device.clone(), pipelines: pipelines.clone(), checks: *checks };
        let overrides: Vec<_> = overrides.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let of_thread = (Arc::clone(shader), label.clone(), entry.to_owned(), overrides.clone(), layout.clone());
        // A GL context serves one thread at a time.
        let here = self.adapter().backend == "gl";
        let compile = move || {
            let (shader, label, entry, overrides, layout) = of_thread;
            compiler.compile(&shader, &label, &entry, &overrides, &layout)
        };
        let pipeline = if here { Compiling::done(compile()) } else { Compiling::start(compile) };
        let (shader, entry) = (Arc::clone(shader), entry.to_owned());
        Ok(Kernel { label, pipeline, layout, bindings, workgroup_size, shader, entry, overrides })
    }
}

/// What compiling needs of a [`Gpu`]. A thread that held the whole of it could be the last one, and would then wait for itself.
struct Compiler {
    device: wgpu::Device,
    pipelines: Option<wgpu::PipelineCache>,
    checks: bool,
}

impl Compiler {
    /// The next [`Gpu::check`] reports the driver's errors.
    fn compile(
        &self,
        shader: &Shader,
        label: &str,
        entry: &str,
        overrides: &[(String, f64)],
        layout: &wgpu::BindGroupLayout,
    ) -> wgpu::ComputePipeline {
        let device = &self.device;
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(shader.text.as_str().into()),
        };
        let module = if self.checks {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: every kernel guards its loads and stores by the sizes that its Rust twin checked against the
            // tensors, and every loop ends; the tests run each kernel with the checks on as well.
            #[allow(unsafe_code, reason = "bounds checks and loop counters cost time in the hottest loops")]
            unsafe {
                device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            }
        };
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(label),
            bind_group_layouts: &[Some(layout)],
            ..Default::default()
        });
        let constants: Vec<_> = overrides.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: self.pipelines.as_ref(),
        })
    }
}

/// A pipeline that a thread compiles, or has compiled.
struct Compiling<Pipeline: Send + 'static = wgpu::ComputePipeline> {
    thread: Mutex<Option<JoinHandle<Pipeline>>>,
    pipeline: OnceLock<Pipeline>,
}

impl<Pipeline: Send> Compiling<Pipeline> {
    fn start(compile: impl FnOnce() -> Pipeline + Send + 'static) -> Compiling<Pipeline> {
        Compiling { thread: Mutex::new(Some(std::thread::spawn(compile))), pipeline: OnceLock::new() }
    }

    fn done(pipeline: Pipeline) -> Compiling<Pipeline> {
        Compiling { thread: Mutex::new(None), pipeline: OnceLock::from(pipeline) }
    }

    fn get(&self) -> &Pipeline {
        self.pipeline.get_or_init(|| {
            let thread = lock(&self.thread).take().expect("joined once, within OnceLock");
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl<Pipeline: Send> Drop for Compiling<Pipeline> {
    /// Waits for the thread: a program that ended while a driver compiles would crash in the driver.
    fn drop(&mut self) {
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

fn layout_entry(binding: &Binding) -> wgpu::BindGroupLayoutEntry {
    let ty = match binding.access {
        Access::Read | Access::Write => wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: binding.access == Access::Read },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        Access::Texture => wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::ReadOnly,
            format: super::texture::FORMAT,
            view_dimension: wgpu::TextureViewDimension::D2,
        },
    };
    wgpu::BindGroupLayoutEntry { binding: binding.index, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None }
}

impl Kernel {
    /// Waits for the pipeline if it is not compiled yet.
    pub(super) fn pipeline(&self) -> &wgpu::ComputePipeline {
        self.pipeline.get()
    }

    /// Workgroups along x, y and z for a grid of at least `threads` threads. An axis has at most `allowed` workgroups.
    pub(super) fn workgroups(&self, threads: [usize; 3], allowed: u32) -> Result<[u32; 3], Error> {
        let mut workgroups = [0; 3];
        for axis in 0..3 {
            let groups = threads[axis].div_ceil(self.workgroup_size[axis] as usize);
            workgroups[axis] =
                u32::try_from(groups).ok().filter(|groups| *groups <= allowed).ok_or_else(|| Error::Limit {
                    what: format!("the grid of {}", self.label),
                    needed: groups as u64,
                    unit: "workgroups along one axis",
                    allowed: u64::from(allowed),
                    hint: super::TOO_LARGE,
                })?;
        }
        Ok(workgroups)
    }

    /// What it was made from: its shader, its entry point, and its overrides.
    pub(super) fn origin(&self) -> (&Shader, &str, &[(String, f64)]) {
        (&self.shader, &self.entry, &self.overrides)
    }

    /// Whether its entry point uses a binding.
    pub(super) fn binds(&self, name: &str) -> bool {
        self.bindings.iter().any(|binding| binding.name == name)
    }

    /// Threads of a workgroup along x, y and z, as the WGSL states them.
    pub fn workgroup_size(&self) -> [usize; 3] {
        self.workgroup_size.map(|size| size as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_compiles_is_waited_for() {
        let done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&done);
        drop(Compiling::start(move || {
            std::thread::sleep(Duration::from_millis(50));
            flag.store(true, Ordering::Relaxed);
        }));
        assert!(done.load(Ordering::Relaxed), "a thread is left in the driver");
    }
}
