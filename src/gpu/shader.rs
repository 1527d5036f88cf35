//! Shaders: parses their text, and finds what a kernel binds.

use std::collections::HashMap;
use std::fmt;

use wgpu::naga;

use crate::Error;
use crate::shaders::Source;

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

/// The features beyond plain WGSL that shaders may use, on adapters that have them.
const CAPABILITIES: naga::valid::Capabilities =
    naga::valid::Capabilities::SUBGROUP.union(naga::valid::Capabilities::SHADER_INT64);

/// A parsed and validated WGSL file.
pub struct Shader {
    /// The file and the parts in its slots.
    pub(super) label: String,
    pub(super) text: String,
    module: naga::Module,
    info: naga::valid::ModuleInfo,
}

impl fmt::Debug for Shader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shader({})", self.label)
    }
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
        let text = source.expanded().map_err(fault)?;
        let path = source.path();
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

    /// Whether it declares an override.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.module.overrides.iter().any(|(_, declaration)| declaration.name.as_deref() == Some(name))
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
    /// wgpu silently accepts a fraction for a `u32`.
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
