//! Launches: the one way from WGSL to a dispatch.

use std::sync::Arc;

use super::part::Given;
use super::{Dispatch, Gpu, Kernel, Part, Shader, Tensor};
use crate::Error;

/// An entry point with its overrides and tensors, without the size of its grid yet.
#[derive(Debug)]
pub struct Launch<'a> {
    gpu: &'a Gpu,
    shader: Arc<Shader>,
    kernel: Arc<Kernel>,
    tensors: Vec<Given<Tensor>>,
}

impl Gpu {
    /// Makes the kernel of an entry point, with its overrides, or finds it among those made before.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the WGSL does not compile, has no such entry point or no such slot, or if the overrides do not
    /// fit it.
    pub fn launch(&self, part: Part, entry: &str) -> Result<Launch<'_>, Error> {
        let shader = self.shader(&part.source)?;
        let used = part.overrides.iter().filter(|given| given.must || shader.declares(given.name));
        let mut overrides: Vec<_> = used.map(|given| (given.name.to_owned(), given.value)).collect();
        for Given { name, value: tensor, .. } in &part.tensors {
            for (suffix, words) in [("QUADS", 4), ("STRIDE", 1)] {
                let name = format!("{}_{suffix}", name.to_uppercase());
                if shader.declares(&name) && !overrides.iter().any(|(other, _)| *other == name) {
                    overrides.push((name, (tensor.stride() / words) as f64));
                }
            }
        }
        let overrides: Vec<_> = overrides.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let kernel = self.kernel(&part.source, entry, &overrides)?;
        Ok(Launch { gpu: self, shader, kernel, tensors: part.tensors })
    }
}

impl Launch<'_> {
    /// A `const` of type `u32` in the WGSL.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if there is no such constant.
    pub fn constant(&self, name: &str) -> Result<usize, Error> {
        Ok(self.shader.constant(name)? as usize)
    }

    /// Threads of a workgroup along x, y and z.
    pub fn workgroup_size(&self) -> [usize; 3] {
        self.kernel.workgroup_size()
    }

    /// Binds the tensors for a grid of at least the given numbers of threads along x, y and z.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if the names are not the kernel's bindings; [`Error::Limit`] if the grid or a tensor is larger
    /// than the adapter allows.
    pub fn over(self, threads: [usize; 3]) -> Result<Dispatch, Error> {
        let used = self.tensors.iter().filter(|given| given.must || self.kernel.binds(given.name));
        let tensors: Vec<_> = used.map(|given| (given.name, &given.value)).collect();
        Dispatch::new(self.gpu, &self.kernel, &tensors, threads)
    }

    /// The same for a grid of workgroups.
    ///
    /// # Errors
    ///
    /// As [`Launch::over`].
    pub fn over_groups(self, groups: [usize; 3]) -> Result<Dispatch, Error> {
        let [x, y, z] = self.workgroup_size();
        self.over([groups[0] * x, groups[1] * y, groups[2] * z])
    }

    /// The same for a long row of threads, folded into two axes: thread `x + y * (threads along x)`.
    ///
    /// # Errors
    ///
    /// As [`Launch::over`].
    pub fn over_folded(self, threads: usize) -> Result<Dispatch, Error> {
        let [x, ..] = self.workgroup_size();
        self.over(folded(threads, x))
    }
}

/// Folds a long row of threads into two axes that both stay within the smallest limit of any adapter.
fn folded(threads: usize, workgroup_size: usize) -> [usize; 3] {
    const ROW: usize = 32_768;
    let groups = threads.div_ceil(workgroup_size);
    if groups <= ROW { [threads, 1, 1] } else { [ROW * workgroup_size, groups.div_ceil(ROW), 1] }
}
