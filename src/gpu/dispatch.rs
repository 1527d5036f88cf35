//! Dispatches and programs: work that is recorded once and replayed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shader::Access;
use super::texture::Texture;
use super::{Choice, Gpu, Kernel, KernelTable, TOO_LARGE, Tensor};
use crate::Error;

/// A kernel with the tensors it works on and the size of its grid. Clones share them.
#[derive(Clone, Debug)]
pub struct Dispatch {
    kernel: Arc<Kernel>,
    bind_group: wgpu::BindGroup,
    /// The bind group keeps their buffers alive, so they have to stay in the count of allocated bytes.
    read: Vec<Tensor>,
    written: Vec<Tensor>,
    /// The textures that it reads live as long as a dispatch that reads them.
    textures: Vec<Arc<Texture>>,
    workgroups: [u32; 3],
    /// The choices that led to its kernel.
    choices: Vec<Choice>,
    /// The position of sentences that it is for, if it is for one.
    position: Option<u32>,
}

impl Dispatch {
    /// Binds tensors to a kernel by name, for a grid of at least `threads` threads along x, y and z.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the names are not the kernel's bindings; [`Error::Limit`] if the grid or a tensor is larger
    /// than the adapter allows.
    pub(super) fn new(
        gpu: &Gpu,
        kernel: &Arc<Kernel>,
        tensors: &[(&str, &Tensor)],
        threads: [usize; 3],
    ) -> Result<Dispatch, Error> {
        let names = || tensors.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let fault = |reason: String| Error::Shader { shader: kernel.label.clone(), reason };
        if let Some((name, _)) = tensors.iter().find(|(name, _)| !kernel.binds(name)) {
            return Err(fault(format!("does not use the binding `{name}`")));
        }
        let limits = gpu.inner.device.limits();
        let (mut read, mut written) = (Vec::new(), Vec::new());
        let mut bound: Vec<(&Tensor, Option<Arc<Texture>>)> = Vec::new();
        for binding in &kernel.bindings {
            let Some((_, tensor)) = tensors.iter().find(|(name, _)| *name == binding.name) else {
                return Err(fault(format!("needs the binding `{}`, was given: {}", binding.name, names())));
            };
            if tensor.bytes() > limits.max_storage_buffer_binding_size {
                return Err(Error::Limit {
                    what: format!("a tensor of {} x {}", tensor.rows(), tensor.columns()),
                    needed: tensor.bytes(),
                    unit: "bytes in one binding",
                    allowed: limits.max_storage_buffer_binding_size,
                    hint: TOO_LARGE,
                });
            }
            let texture = (binding.access == Access::Texture).then(|| tensor.texture(gpu)).transpose()?;
            let list = if binding.access == Access::Write { &mut written } else { &mut read };
            list.push((*tensor).clone());
            bound.push((tensor, texture));
        }
        let workgroups = kernel.workgroups(threads, limits.max_compute_workgroups_per_dimension)?;
        let entries = kernel.bindings.iter().zip(&bound).map(|(binding, (tensor, texture))| wgpu::BindGroupEntry {
            binding: binding.index,
            resource: match texture {
                Some(texture) => wgpu::BindingResource::TextureView(texture.view()),
                None => tensor.binding(),
            },
        });
        let bind_group = gpu.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&kernel.label),
            layout: &kernel.layout,
            entries: &entries.collect::<Vec<_>>(),
        });
        gpu.check("binding tensors")?;
        let textures = bound.into_iter().filter_map(|(_, texture)| texture).collect();
        Ok(Dispatch {
            kernel: Arc::clone(kernel),
            bind_group,
            read,
            written,
            textures,
            workgroups,
            choices: Vec::new(),
            position: None,
        })
    }

    /// The same with a choice that led to its kernel.
    pub(crate) fn chosen_by(mut self, choice: &Choice) -> Dispatch {
        self.choices.push(choice.clone());
        self
    }

    /// The same for one position of sentences: it is left out of steps whose sentences are all shorter.
    pub(crate) fn at_position(self, position: usize) -> Dispatch {
        Dispatch { position: Some(position as u32), ..self }
    }

    fn is_within(&self, length: u32) -> bool {
        self.position.is_none_or(|position| position < length)
    }

    /// The tensors that it writes.
    pub(crate) fn written(&self) -> &[Tensor] {
        &self.written
    }

    /// The tensors that it only reads.
    pub(crate) fn read(&self) -> &[Tensor] {
        &self.read
    }

    /// The tensors that it writes, under the names of their bindings.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let names = self.kernel.bindings.iter().filter(|binding| binding.access == Access::Write);
        names.map(|binding| binding.name.as_str()).zip(&self.written)
    }

    /// Its tensors, in the order of the kernel's bindings.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let (mut read, mut written) = (self.read.iter(), self.written.iter());
        let bindings = self.kernel.bindings.iter();
        bindings.filter_map(move |binding| if binding.access == Access::Write { written.next() } else { read.next() })
    }

    pub(super) fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Workgroups along x, y and z.
    pub(super) fn workgroups(&self) -> [u32; 3] {
        self.workgroups
    }

    /// The tensor of a binding that it only reads.
    pub(crate) fn input(&self, name: &str) -> Option<&Tensor> {
        let read = self.kernel.bindings.iter().filter(|binding| binding.access != Access::Write);
        read.zip(&self.read).find(|(binding, _)| binding.name == name).map(|(_, tensor)| tensor)
    }

    /// The kernel's file and entry point.
    pub fn label(&self) -> &str {
        &self.kernel.label
    }

    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.workgroups;
        pass.set_pipeline(self.kernel.pipeline());
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }

    /// The same with a grid of no workgroups.
    fn emptied(&self) -> Dispatch {
        Dispatch { workgroups: [0; 3], ..self.clone() }
    }

    fn is_empty(&self) -> bool {
        self.workgroups == [0; 3]
    }

    /// Whether copies to textures follow it.
    pub(super) fn has_copies(&self) -> bool {
        self.written.iter().any(|tensor| tensor.existing_texture().is_some())
    }
}

/// A list of dispatches, replayed in order. Clones share the tensors.
#[derive(Clone, Debug, Default)]
pub struct Program {
    dispatches: Vec<Dispatch>,
}

impl Program {
    /// The dispatches, in order.
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// The choices that led to its kernels: a run records them, so that it resumes with the same bits.
    pub fn kernels(&self) -> KernelTable {
        self.dispatches.iter().flat_map(|dispatch| dispatch.choices.clone()).collect()
    }

    /// Appends a dispatch.
    pub fn push(&mut self, dispatch: Dispatch) {
        self.dispatches.push(dispatch);
    }

    /// The same dispatches, pipelines and bind groups with grids of no workgroups: replays change no tensor.
    ///
    /// wgpu treats an empty grid like any other. It validates, binds and sets barriers, and the driver gets the same commands,
    /// except for Metal's: there wgpu leaves the dispatch itself out.
    /// Copies to textures become copies of one texel.
    pub fn emptied(&self) -> Program {
        self.dispatches.iter().map(Dispatch::emptied).collect()
    }

    /// Records the program `times` times, in one compute pass if no tensor has a texture to keep up to date.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, times: u32) {
        record(&self.dispatches, encoder, (0..times).map(|_| u32::MAX));
    }

    /// Records the program once for each step, of which the lengths of the longest sentences are given.
    pub(super) fn record_steps(&self, encoder: &mut wgpu::CommandEncoder, lengths: impl Iterator<Item = u32>) {
        record(&self.dispatches, encoder, lengths);
    }
}

/// The wall-clock time of one replay of dispatches, from `times` replays in one submission.
pub(super) fn time(gpu: &Gpu, dispatches: &[Dispatch], times: u32) -> Result<Duration, Error> {
    let start = Instant::now();
    gpu.submit(|encoder| record(dispatches, encoder, (0..times).map(|_| u32::MAX)));
    gpu.wait()?;
    Ok(start.elapsed() / times)
}

fn record<'a>(
    dispatches: impl IntoIterator<Item = &'a Dispatch> + Clone,
    encoder: &mut wgpu::CommandEncoder,
    lengths: impl Iterator<Item = u32>,
) {
    let mut open = None;
    // Textures whose buffers were written since their last copy, and whether by an empty grid.
    let mut stale: Vec<(Arc<Texture>, bool)> = Vec::new();
    let copy = |encoder: &mut wgpu::CommandEncoder, texture: &Texture, is_empty: bool| {
        if is_empty { texture.record_texels(encoder) } else { texture.record_copy(encoder) }
    };
    for length in lengths {
        for dispatch in dispatches.clone().into_iter().filter(|dispatch| dispatch.is_within(length)) {
            for texture in &dispatch.textures {
                if let Some(index) = stale.iter().position(|(other, _)| Arc::ptr_eq(other, texture)) {
                    open = None;
                    let (texture, is_empty) = stale.swap_remove(index);
                    copy(encoder, &texture, is_empty);
                }
            }
            let descriptor = wgpu::ComputePassDescriptor::default();
            let pass = open.get_or_insert_with(|| encoder.begin_compute_pass(&descriptor).forget_lifetime());
            dispatch.record(pass);
            for texture in dispatch.written.iter().filter_map(Tensor::existing_texture) {
                if !stale.iter().any(|(other, _)| Arc::ptr_eq(other, &texture)) {
                    stale.push((texture, dispatch.is_empty()));
                }
            }
        }
    }
    drop(open);
    // What is read next finds them up to date.
    stale.iter().for_each(|(texture, is_empty)| copy(encoder, texture, *is_empty));
}

impl From<Dispatch> for Program {
    fn from(dispatch: Dispatch) -> Program {
        Program { dispatches: vec![dispatch] }
    }
}

impl From<Vec<Dispatch>> for Program {
    fn from(dispatches: Vec<Dispatch>) -> Program {
        Program { dispatches }
    }
}

impl FromIterator<Dispatch> for Program {
    fn from_iter<I: IntoIterator<Item = Dispatch>>(dispatches: I) -> Program {
        Program { dispatches: dispatches.into_iter().collect() }
    }
}

impl Extend<Dispatch> for Program {
    fn extend<I: IntoIterator<Item = Dispatch>>(&mut self, dispatches: I) {
        self.dispatches.extend(dispatches);
    }
}
