//! Parts: what fills a slot of a kernel.

use super::{Source, Tensor};

/// The WGSL that fills a slot of a kernel, with its overrides and the tensors that it binds.
#[derive(Clone)]
pub struct Part {
    pub(super) source: Source,
    pub(super) overrides: Vec<(&'static str, f64)>,
    pub(super) tensors: Vec<(&'static str, Tensor)>,
}

impl Part {
    /// A part from its WGSL and what that binds; a kernel binds only what its entry point uses of it.
    pub fn new(source: Source, overrides: &[(&'static str, f64)], tensors: &[(&'static str, &Tensor)]) -> Part {
        let tensors = tensors.iter().map(|(name, tensor)| (*name, (*tensor).clone())).collect();
        Part { source, overrides: overrides.to_vec(), tensors }
    }

    /// The WGSL alone.
    pub fn source(&self) -> Source {
        self.source.clone()
    }
}
