//! Shader text: expands `#import`, fills slots, parses, and finds what a kernel binds.

use std::collections::HashMap;

use wgpu::naga;

use crate::Error;

/// Names a WGSL file under `shaders/` and embeds its text: `source!("nn/dense.wgsl")`.
macro_rules! source {
    ($path:literal) => {
        $crate::gpu::Source::new($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)))
    };
}
pub(crate) use source;

/// A WGSL file's path under `shaders/` and its text, and what fills its slots.
///
/// `#import lib/name.wgsl` imports a header. `#import name` is a slot: whoever makes a kernel of the file says which other
/// file stands there, and so fuses the two into one kernel.
#[derive(Clone, Debug)]
pub struct Source {
    path: &'static str,
    text: &'static str,
    parts: Vec<(&'static str, Source)>,
}

impl Source {
    /// A file with its slots empty.
    pub const fn new(path: &'static str, text: &'static str) -> Source {
        Source { path, text, parts: Vec::new() }
    }

    /// The same with a slot filled.
    #[must_use]
    pub fn with(mut self, slot: &'static str, part: Source) -> Source {
        self.parts.push((slot, part));
        self
    }

    /// The file's path under `shaders/`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Names the file and all that fills its slots.
    pub(super) fn label(&self) -> String {
        let parts = self.parts.iter().map(|(_, part)| format!(" + {}", part.label()));
        [self.path.to_owned()].into_iter().chain(parts).collect()
    }

    /// The text with every import replaced by what it names, a header only the first time.
    fn expand_into(&self, seen: &mut Vec<&'static str>, text: &mut String) -> Result<(), String> {
        for line in self.text.lines() {
            let Some(name) = line.strip_prefix("#import ") else {
                text.push_str(line);
                text.push('\n');
                continue;
            };
            let name = name.trim();
            if let Some((_, part)) = self.parts.iter().find(|(slot, _)| *slot == name) {
                part.expand_into(seen, text)?;
                continue;
            }
            let header = HEADERS.iter().find(|header| header.path == name);
            let header = header.ok_or_else(|| format!("nothing to import for `{name}` in {}", self.path))?;
            if !seen.contains(&header.path) {
                seen.push(header.path);
                header.expand_into(seen, text)?;
            }
        }
        Ok(())
    }
}

/// The headers that shaders may import.
static HEADERS: &[Source] = &[
    source!("lib/activation.wgsl"),
    source!("lib/levels.wgsl"),
    source!("lib/logvar.wgsl"),
    source!("lib/matrix.wgsl"),
    source!("lib/nan.wgsl"),
    source!("lib/normal.wgsl"),
    source!("lib/normalise.wgsl"),
    source!("lib/reduce.wgsl"),
    source!("lib/rng.wgsl"),
    source!("lib/step.wgsl"),
    source!("lib/texture.wgsl"),
];

/// A binding that an entry point uses.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub name: String,
    pub index: u32,
    pub access: Access,
}

/// How an entry point uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// A storage buffer that is read.
    Read,
    /// A storage buffer that is written, and perhaps read.
    Write,
    /// A texture that mirrors a buffer, for reading.
    Texture,
}

/// What shaders may use beyond plain WGSL; those that do are for adapters that have it.
const CAPABILITIES: naga::valid::Capabilities =
    naga::valid::Capabilities::SUBGROUP.union(naga::valid::Capabilities::SHADER_INT64);

/// A parsed and validated WGSL file.
pub struct Shader {
    /// The file and what fills its slots.
    pub(super) label: String,
    pub(super) text: String,
    module: naga::Module,
    info: naga::valid::ModuleInfo,
}

impl Shader {
    /// Expands, parses and validates a file.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] with the compiler's message, or the import that does not exist.
    pub fn parse(source: &Source) -> Result<Shader, Error> {
        let label = source.label();
        let fault = |reason: String| Error::Shader { shader: label.clone(), reason };
        let mut text = String::new();
        source.expand_into(&mut Vec::new(), &mut text).map_err(fault)?;
        let path = source.path;
        let module =
            naga::front::wgsl::parse_str(&text).map_err(|error| fault(error.emit_to_string_with_path(&text, path)))?;
        let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), CAPABILITIES);
        validator
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all());
        let info = validator.validate(&module).map_err(|error| fault(error.emit_to_string_with_path(&text, path)))?;
        Ok(Shader { label, text, module, info })
    }

    /// The whole text, imports expanded.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the entry points.
    pub fn entry_points(&self) -> impl Iterator<Item = &str> {
        self.module.entry_points.iter().map(|entry| entry.name.as_str())
    }

    /// The value of a `const` of type `u32`, by name: numbers that WGSL owns and the host needs.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if there is no such constant.
    pub fn constant(&self, name: &str) -> Result<u32, Error> {
        let mut constants = self.module.constants.iter().map(|(_, constant)| constant);
        let found = constants.find(|constant| constant.name.as_deref() == Some(name));
        match found.map(|constant| &self.module.global_expressions[constant.init]) {
            Some(naga::Expression::Literal(naga::Literal::U32(value))) => Ok(*value),
            _ => Err(Error::Shader { shader: self.label.clone(), reason: format!("no u32 constant `{name}`") }),
        }
    }

    /// The bindings that an entry point uses, in order, and its workgroup size.
    pub(super) fn reflect(&self, entry: &str) -> Result<(Vec<Binding>, [u32; 3]), Error> {
        let position = self.module.entry_points.iter().position(|candidate| candidate.name == entry);
        let Some(position) = position else {
            return Err(Error::Shader { shader: self.label.clone(), reason: format!("no entry point `{entry}`") });
        };
        let uses = self.info.get_entry_point(position);
        let mut bindings = Vec::new();
        for (handle, variable) in self.module.global_variables.iter() {
            let Some(at) = variable.binding else { continue };
            let access = match variable.space {
                naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => Access::Write,
                naga::AddressSpace::Storage { .. } => Access::Read,
                naga::AddressSpace::Handle => Access::Texture,
                _ => continue,
            };
            if !uses[handle].is_empty() {
                let name = variable.name.clone().unwrap_or_default();
                bindings.push(Binding { name, index: at.binding, access });
            }
        }
        Ok((bindings, self.module.entry_points[position].workgroup_size))
    }

    /// Checks that each override given exists and fits its type, and that each one without a default is given.
    ///
    /// wgpu lets a fraction for a `u32` pass in silence.
    pub(super) fn check_overrides(&self, given: &[(&str, f64)]) -> Result<(), Error> {
        let fault = |reason: String| Err(Error::Shader { shader: self.label.clone(), reason });
        let mut declared = HashMap::new();
        for (_, declaration) in self.module.overrides.iter() {
            let name = declaration.name.clone().unwrap_or_default();
            if declaration.init.is_none() && !given.iter().any(|(other, _)| *other == name) {
                return fault(format!("no value for the override `{name}`"));
            }
            declared.insert(name, &self.module.types[declaration.ty].inner);
        }
        for (name, value) in given {
            let Some(kind) = declared.get(*name) else {
                return fault(format!("no override `{name}`"));
            };
            let whole = matches!(kind, naga::TypeInner::Scalar(scalar) if scalar.kind == naga::ScalarKind::Uint);
            if whole && (value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(value)) {
                return fault(format!("the override `{name}` is a u32 and cannot be {value}"));
            }
        }
        Ok(())
    }
}
