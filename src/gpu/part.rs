//! Parts: WGSL with values for its overrides and bindings. A part fills a slot of another one; a part with entry points
//! is launched.

use super::{Source, Tensor};

/// A WGSL file with values for its overrides and tensors for its bindings.
#[derive(Clone, Debug)]
pub struct Part {
    pub(super) source: Source,
    pub(super) overrides: Vec<Given<f64>>,
    pub(super) tensors: Vec<Given<Tensor>>,
}

/// A value for a name in the WGSL.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    pub name: &'static str,
    pub value: T,
    /// Whether the WGSL must use it.
    pub must: bool,
}

impl Part {
    /// A file without values yet.
    pub fn new(source: Source) -> Part {
        Part { source, overrides: Vec::new(), tensors: Vec::new() }
    }

    /// Sets an override.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: f64) -> Part {
        self.overrides.push(Given { name, value, must: true });
        self
    }

    /// Sets an override that is a size.
    #[must_use]
    pub fn size(self, name: &'static str, value: usize) -> Part {
        self.set(name, value as f64)
    }

    /// Sets an override that is a `bool`.
    #[must_use]
    pub fn flag(self, name: &'static str, value: bool) -> Part {
        self.set(name, f64::from(u8::from(value)))
    }

    /// Sets an override if the WGSL declares it.
    #[must_use]
    pub fn offer(mut self, name: &'static str, value: usize) -> Part {
        self.overrides.push(Given { name, value: value as f64, must: false });
        self
    }

    /// Binds a tensor. If the WGSL declares an override `NAME_QUADS` or `NAME_STRIDE` for a binding `name`, it is set to the
    /// `vec4`s or the words from one row of the tensor to the next.
    #[must_use]
    pub fn bind(mut self, name: &'static str, tensor: &Tensor) -> Part {
        self.tensors.push(Given { name, value: tensor.clone(), must: true });
        self
    }

    /// Binds a tensor if the entry point uses the binding.
    #[must_use]
    pub fn lend(mut self, name: &'static str, tensor: &Tensor) -> Part {
        self.tensors.push(Given { name, value: tensor.clone(), must: false });
        self
    }

    /// Fills a slot. An entry point binds only those tensors of the part that it uses.
    #[must_use]
    pub fn fill(mut self, slot: &'static str, part: &Part) -> Part {
        self.source = self.source.with(slot, part.source.clone());
        self.overrides.extend(part.overrides.iter().cloned());
        self.tensors.extend(part.tensors.iter().cloned().map(|tensor| Given { must: false, ..tensor }));
        self
    }

    /// The WGSL alone.
    pub fn source(&self) -> &Source {
        &self.source
    }
}
