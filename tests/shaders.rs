//! Every shader without a GPU: it parses, validates, translates to what each backend takes, and is where it should be.
//!
//! The files are found by walking `shaders/`, so that none can be forgotten.

use std::path::{Path, PathBuf};

use elbo::gpu::{Shader, Source};
use naga::back::{PipelineConstants, glsl, hlsl, msl, pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};

use crate::support::sources::{entry_points, files};

/// A size that is a multiple of nothing.
const SIZE: f64 = 61.0;

/// Storage buffers that wgpu's default limits let one kernel bind.
const STORAGE_BUFFERS: usize = 8;

/// Lines that a file may have.
const LINES: usize = 200;

/// A file under `shaders/`, as the crate embeds it: `Source` wants text that lives as long as the program.
fn source(path: &Path, text: &str) -> Source {
    Source::new(String::leak(path.to_str().unwrap().replace('\\', "/")), String::leak(text.to_owned()))
}

/// The slots that kernels leave for others to fill, and what those define that do.
const SLOTS: [(&str, &str); 7] = [
    ("epilogue", "fn finish("),
    ("objective", "fn loss_part("),
    ("pixel", "fn pixel("),
    ("prior", "fn kl_term("),
    ("sums", "alias Sums"),
    ("tile", "const TILE_ROWS"),
    ("words", "fn update_word("),
];

/// The files with entry points, each with every combination of parts that can fill its slots.
fn kernels() -> Vec<Source> {
    let files = files("shaders", "wgsl");
    let files: Vec<_> = files.iter().filter(|(path, _)| !path.starts_with("lib")).collect();
    let entries = files.iter().filter(|(_, text)| text.contains("@compute"));
    entries.flat_map(|(path, text)| filled(path, text, &files)).collect()
}

/// Whether a part is made for a kernel: epilogues of gradients are called so, and the plain one is for all.
fn fits(part: &Path, slot: &str, kernel: &Path) -> bool {
    let backward = |path: &Path| path.ends_with("backward.wgsl");
    slot != "epilogue" || part == Path::new("nn/epilogue.wgsl") || backward(part) == backward(kernel)
}

/// A file with its slots filled in every way, and theirs.
fn filled(path: &Path, text: &str, files: &[&(PathBuf, String)]) -> Vec<Source> {
    let mut all = vec![source(path, text)];
    for (slot, definition) in SLOTS {
        if text.lines().any(|line| line == format!("#import {slot}")) {
            let parts = files.iter().filter(|(part, text)| {
                text.contains(definition) && !text.contains("@compute") && fits(part, slot, path)
            });
            let parts: Vec<_> = parts.flat_map(|(path, text)| filled(path, text, files)).collect();
            assert!(!parts.is_empty(), "nothing fills the slot {slot}");
            all = all.iter().flat_map(|file| parts.iter().map(|part| file.clone().with(slot, part.clone()))).collect();
        }
    }
    all
}

/// The module of a shader as naga sees it.
fn module(source: &Source) -> Result<(Module, ModuleInfo), String> {
    let shader = Shader::parse(source).map_err(|error| error.to_string())?;
    let module = naga::front::wgsl::parse_str(shader.text()).map_err(|error| error.emit_to_string(shader.text()))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP | Capabilities::SHADER_INT64);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(&module);
    Ok((module, info.map_err(|error| error.emit_to_string(shader.text()))?))
}

/// Values for all overrides that need one.
fn constants(module: &Module) -> PipelineConstants {
    let needed = module.overrides.iter().filter(|(_, declaration)| declaration.init.is_none());
    let value = |(_, declaration): (_, &naga::Override)| {
        let whole = module.types[declaration.ty].inner.scalar() == Some(naga::Scalar::U32);
        (declaration.name.clone().unwrap(), if whole { SIZE } else { 0.1 })
    };
    needed.map(value).collect()
}

/// Translates one entry point to what Vulkan, Metal and DX12 take, and GL if it is for that too, with run-time checks and
/// without.
fn translate(module: &Module, info: &ModuleInfo, entry: &str, on_gl: bool) -> Result<(), String> {
    let stage = ShaderStage::Compute;
    let fault = |language: &str, error: String| format!("{entry}, to {language}: {error}");
    let (module, info) = pipeline_constants::process_overrides(module, info, Some((stage, entry)), &constants(module))
        .map_err(|error| fault("values of overrides", error.to_string()))?;
    for policy in [BoundsCheckPolicy::Unchecked, BoundsCheckPolicy::Restrict] {
        let checked = policy == BoundsCheckPolicy::Restrict;
        let policies = BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, binding_array: policy };

        let options =
            spv::Options { bounds_check_policies: policies, force_loop_bounding: checked, ..Default::default() };
        let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: entry.to_owned() };
        let words = spv::write_vec(&module, &info, &options, Some(&pipeline))
            .map_err(|error| fault("SPIR-V", error.to_string()))?;
        assert_eq!(words[0], 0x0723_0203, "SPIR-V starts with its magic number");

        let options = msl::Options {
            lang_version: (2, 0),
            bounds_check_policies: policies,
            force_loop_bounding: checked,
            ..Default::default()
        };
        let pipeline = msl::PipelineOptions { entry_point: Some((stage, entry.to_owned())), ..Default::default() };
        let (_, translated) =
            msl::write_string(&module, &info, &options, &pipeline).map_err(|error| fault("MSL", error.to_string()))?;
        for name in translated.entry_point_names {
            name.map_err(|error| fault("MSL", error.to_string()))?;
        }

        let options = hlsl::Options { restrict_indexing: checked, force_loop_bounding: checked, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((stage, entry.to_owned())) };
        let mut text = String::new();
        let translated = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .map_err(|error| fault("HLSL", error.to_string()))?;
        for name in translated.entry_point_names {
            name.map_err(|error| fault("HLSL", error.to_string()))?;
        }

        if !on_gl {
            continue;
        }
        let options = glsl::Options { version: glsl::Version::new_gles(310), ..Default::default() };
        let pipeline = glsl::PipelineOptions { shader_stage: stage, entry_point: entry.to_owned(), multiview: None };
        let mut text = String::new();
        glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, policies)
            .and_then(|mut writer| writer.write())
            .map_err(|error| fault("GLSL", error.to_string()))?;
    }
    Ok(())
}

/// Translates every entry point of a file: how many there are.
fn translate_all(source: &Source) -> Result<usize, String> {
    let (module, info) = module(source)?;
    // GL ES has neither subgroups nor words of 64 bits: kernels with them are for Vulkan, Metal and DX12 alone.
    let shader = Shader::parse(source).map_err(|error| error.to_string())?;
    let on_gl = !["subgroup", "u64"].iter().any(|feature| shader.text().contains(feature));
    for entry in &module.entry_points {
        translate(&module, &info, &entry.name, on_gl).map_err(|error| format!("{}: {error}", source.path()))?;
    }
    Ok(module.entry_points.len())
}

#[test]
fn every_entry_point_translates_for_every_backend() -> Result<(), String> {
    for kernel in kernels() {
        assert!(translate_all(&kernel)? > 0, "{} has no entry point", kernel.path());
    }
    Ok(())
}

#[test]
fn a_broken_shader_is_noticed() {
    let kernel = |body: &str| {
        let binding = "@group(0) @binding(0) var<storage, read_write> a: array<u32>;";
        format!("{binding}\n@compute @workgroup_size(1)\nfn store() {{ {body} }}")
    };
    let levels = format!("@group(0) @binding(1) var t: texture_2d<f32>;\n{}", kernel("a[0] = textureNumLevels(t);"));
    let cases = [
        (kernel("a[0] = 1u;"), None),
        (kernel("a[0] = ;"), Some("expected")),
        (kernel("a[0] = 1.0;"), Some("u32")),
        (format!("#import lib/nothing.wgsl\n{}", kernel("")), Some("lib/nothing.wgsl")),
        // GL ES has no such query: this one is valid, and is noticed by the translation alone.
        (levels, Some("store, to GLSL: ")),
    ];
    for (text, complaint) in cases {
        match (translate_all(&source(Path::new("broken.wgsl"), &text)), complaint) {
            (Ok(entries), None) => assert_eq!(entries, 1),
            (Err(error), Some(complaint)) => assert!(error.contains(complaint), "{error}"),
            (result, complaint) => panic!("expected {complaint:?}, found {result:?} for\n{text}"),
        }
    }
}

#[test]
fn no_kernel_binds_more_than_every_adapter_allows() -> Result<(), String> {
    for kernel in kernels() {
        let (module, info) = module(&kernel)?;
        for (index, entry) in module.entry_points.iter().enumerate() {
            let uses = info.get_entry_point(index);
            let storage = module.global_variables.iter().filter(|(handle, variable)| {
                matches!(variable.space, AddressSpace::Storage { .. }) && !uses[*handle].is_empty()
            });
            let count = storage.count();
            assert!(
                (1..=STORAGE_BUFFERS).contains(&count),
                "{} of {}: {count} storage buffers",
                entry.name,
                kernel.path()
            );
        }
    }
    Ok(())
}

#[test]
fn every_shader_has_a_twin_which_uses_each_of_its_entry_points() {
    let sources = files("src", "rs");
    for (path, text) in files("shaders", "wgsl").iter().filter(|(path, _)| !path.starts_with("lib")) {
        let name = path.to_str().unwrap().replace('\\', "/");
        let quoted = format!("source!(\"{name}\")");
        let names =
            |text: &str| text.lines().any(|line| line.contains(&quoted) && !line.trim_start().starts_with("//"));
        let naming: Vec<_> = sources.iter().filter(|(_, text)| names(text)).collect();
        let [(twin, twin_text)] = naming[..] else { panic!("{quoted} stands in {} files", naming.len()) };
        // The twin has the shader's path, or that of a folder that the shader is in: src/a.rs for shaders/a/b.wgsl.
        let folders = path.ancestors().skip(1).map(|folder| folder.with_extension("rs"));
        let places: Vec<_> = [path.with_extension("rs")].into_iter().chain(folders).collect();
        assert!(places.contains(twin), "src/{} is not the twin of {name}", twin.display());
        for entry in entry_points(text) {
            let quoted = format!("\"{entry}\"");
            assert!(twin_text.contains(&quoted), "src/{} never uses `{entry}`", twin.display());
        }
    }
}

#[test]
fn headers_can_be_imported_and_hold_no_bindings_and_no_entry_points() -> Result<(), String> {
    for (path, text) in files("shaders", "wgsl").into_iter().filter(|(path, _)| path.starts_with("lib")) {
        let name = path.to_str().unwrap().replace('\\', "/");
        let importing = source(Path::new("importing.wgsl"), &format!("#import {name}"));
        let shader = Shader::parse(&importing).map_err(|error| error.to_string())?;
        let mut own = text.lines().filter(|line| !line.starts_with("#import "));
        assert!(own.all(|line| shader.text().contains(line)), "{name}");
        let (module, _) = module(&importing)?;
        assert!(module.entry_points.is_empty(), "{name} has an entry point");
        assert!(module.global_variables.iter().all(|(_, variable)| variable.binding.is_none()), "{name} has a binding");
    }
    Ok(())
}

#[test]
fn files_are_short_start_with_their_purpose_and_have_no_main() {
    for (path, text) in files("shaders", "wgsl") {
        let name = path.display();
        assert!(text.lines().count() < LINES, "{name} has {} lines", text.lines().count());
        assert!(text.starts_with("// "), "{name} does not start with a comment");
        assert!(!text.contains("fn main("), "{name}: an entry point is a verb");
    }
}
