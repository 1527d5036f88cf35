//! Every shader without a GPU: it parses, validates, translates to the language of each backend, and is in the right
//! place.
//!
//! The files are found by walking `shaders/`, so that none can be forgotten.

mod chromium;
mod filled;

use std::any::type_name_of_val;
use std::collections::BTreeSet;
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use elbo::gpu::{Shader, Source};
use elbo::nn::Variant;
use elbo::step::Step;
use naga::back::{PipelineConstants, glsl, hlsl, msl, pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, TypeInner};

use self::filled::{is_of, kernels, source};
use crate::support::sources::{entry_points, files, headers, repository};

/// A size that is not a multiple of anything.
const SIZE: f64 = 61.0;

/// Storage buffers that wgpu's default limits let one kernel bind.
const STORAGE_BUFFERS: usize = 8;

/// Lines that a file may have.
const LINES: usize = 200;

/// The binding of kernels that import `lib/step.wgsl`.
const STEP: &str = "@group(0) @binding(0) var<storage, read> step: Step;";

/// What the kernels define that import the headers of a family: an epilogue, and a weight's gradient.
const OF_KERNELS: &str = "
fn finish(row: u32, quad: u32, value: vec4f) -> f32 { return 0.0; }
fn dweight_shape() -> vec2u { return vec2u(); }
fn load_dweight_block(block: u32, first: vec2u, b: u32) -> mat4x4f { return mat4x4f(); }
fn store_dweight(row: u32, quad: u32, sum: vec4f) {}
fn store_dbias(quad: u32, sum: vec4f) {}
fn finish_row(row: u32, quad: u32, value: vec4f) -> f32 { return 0.0; }
";

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

/// Translates one entry point for Vulkan, Metal and DX12, and for GL if it supports it, with run-time checks and
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
fn a_slot_takes_what_fills_it_and_every_filling_needs_its_slot() {
    let file = |path: &str, text: &str| source(Path::new(path), text);
    let text = |source: &Source| match Shader::parse(source) {
        Ok(shader) => shader.text().to_owned(),
        Err(error) => error.to_string(),
    };
    let part = |text: &str| file("part.wgsl", text);
    let kernel = file("kernel.wgsl", "#import slot\nconst A = B;");
    assert_eq!(text(&kernel.clone().with("slot", part("const B = 1;"))), "const B = 1;\nconst A = B;\n");
    // A part may have slots too.
    let nested = part("#import inner\nconst B = C;").with("inner", part("const C = 1;"));
    assert_eq!(text(&kernel.clone().with("slot", nested)), "const C = 1;\nconst B = C;\nconst A = B;\n");
    let complains = |source: Source, complaint: &str| {
        let error = text(&source);
        assert!(error.contains(complaint), "expected `{complaint}`, found {error}");
    };
    complains(kernel.clone(), "nothing to import for `slot` in kernel.wgsl");
    let filled = kernel.clone().with("slot", part("const B = 1;"));
    complains(filled.with("other", part("const C = 1;")), "kernel.wgsl has no slot `other`");
    let with_a_filling_too_many = part("const B = 1;").with("other", part("const C = 1;"));
    complains(kernel.clone().with("slot", with_a_filling_too_many), "part.wgsl has no slot `other`");
    // A slot of a part has to be filled in the part.
    let filled = kernel.with("slot", part("#import inner\nconst B = C;"));
    complains(filled.with("inner", part("const C = 1;")), "nothing to import for `inner` in part.wgsl");
}

/// The fields of a Rust struct, each with its type and its offset; a missing field does not compile.
macro_rules! fields {
    ($name:ident { $($field:ident),* }) => {{
        let $name { $($field),* } = &$name::default();
        vec![$((stringify!($field), type_name_of_val($field), offset_of!($name, $field))),*]
    }};
}

#[test]
fn a_step_is_laid_out_in_rust_as_in_wgsl() -> Result<(), String> {
    let text = format!("#import lib/step.wgsl\n{STEP}\n@group(0) @binding(1) var<storage, read> steps: array<Step>;");
    let (module, _) = module(&source(Path::new("importing.wgsl"), &text))?;
    let (step, members) = module
        .types
        .iter()
        .find_map(|(handle, of)| match &of.inner {
            TypeInner::Struct { members, .. } if of.name.as_deref() == Some("Step") => Some((handle, members)),
            _ => None,
        })
        .expect("the header has the struct");
    let rust_type = |inner: &TypeInner| match *inner {
        TypeInner::Scalar(naga::Scalar::U32) => "u32",
        TypeInner::Scalar(naga::Scalar::F32) => "f32",
        TypeInner::Vector { size: naga::VectorSize::Quad, scalar: naga::Scalar::U32 } => "[u32; 4]",
        TypeInner::Vector { size: naga::VectorSize::Quad, scalar: naga::Scalar::F32 } => "[f32; 4]",
        TypeInner::Array { stride: 16, .. } => "[[f32; 4]; 2]",
        _ => "another",
    };
    let of_member = |member: &naga::StructMember| {
        (member.name.clone().unwrap(), rust_type(&module.types[member.ty].inner), member.offset as usize)
    };
    let in_wgsl: Vec<_> = members.iter().map(of_member).collect();
    let mut in_rust = fields!(Step {
        row,
        t,
        first,
        examples,
        key,
        optimiser,
        objective,
        first_sample,
        live_samples,
        chunk,
        chunks_left,
        share,
        length,
        reserved
    });
    // WGSL pads the struct implicitly; Rust has to do it explicitly.
    let (padding, ..) = in_rust.pop().unwrap();
    assert_eq!(padding, "reserved");
    let in_rust: Vec<_> = in_rust.into_iter().map(|(name, of, offset)| (name.to_owned(), of, offset)).collect();
    assert_eq!(in_wgsl, in_rust);
    let stride = module.types.iter().find_map(|(_, of)| match of.inner {
        TypeInner::Array { base, stride, .. } if base == step => Some(stride as usize),
        _ => None,
    });
    assert_eq!(stride, Some(size_of::<Step>()));
    Ok(())
}

/// Whether a Rust file names a shader.
fn names(text: &str, shader: &Path) -> bool {
    let quoted = format!("source!(\"{}\")", shader.to_str().unwrap().replace('\\', "/"));
    text.lines().any(|line| line.contains(&quoted) && !line.trim_start().starts_with("//"))
}

/// The shaders apart from the headers, each with its twin: the Rust file that names it.
fn twins() -> Vec<((PathBuf, String), (PathBuf, String))> {
    let (sources, shaders, headers) = (files("src", "rs"), files("shaders", "wgsl"), headers());
    let twin = |path: &Path| {
        let naming: Vec<_> = sources.iter().filter(|(_, text)| names(text, path)).collect();
        let [twin] = naming[..] else { panic!("{} files name {}", naming.len(), path.display()) };
        twin.clone()
    };
    let shaders = shaders.into_iter().filter(|(path, _)| !headers.contains(path));
    shaders.map(|shader| (shader.clone(), twin(&shader.0))).collect()
}

/// The Rust file at a file's path, and those at the paths of the folders that it is in: a/b.rs and a.rs for a/b.wgsl.
fn places(path: &Path) -> Vec<PathBuf> {
    let paths = path.ancestors().filter(|path| *path != Path::new(""));
    paths.map(|path| path.with_extension("rs")).collect()
}

#[test]
fn every_shader_has_a_twin_which_uses_each_of_its_entry_points() {
    for ((path, text), (twin, twin_text)) in twins() {
        assert!(places(&path).contains(&twin), "src/{} is not the twin of {}", twin.display(), path.display());
        for entry in entry_points(&text) {
            let quoted = format!("\"{entry}\"");
            assert!(twin_text.contains(&quoted), "src/{} never uses `{entry}`", twin.display());
        }
    }
}

#[test]
fn every_shader_has_its_self_test_at_the_path_of_its_twin() {
    let checks: BTreeSet<_> = files("src/selftest", "rs").into_iter().map(|(path, _)| path).collect();
    let is_area = |path: &Path| path.components().count() == 1;
    for ((path, _), (twin, _)) in twins() {
        // The file of the twin's folder counts too, but that of a whole area, like likelihood.rs, has only the code
        // that its files share: it counts only if it is at the twin's own path.
        let mut places = places(&twin).into_iter().filter(|place| *place == twin || !is_area(place));
        let is_there = places.any(|place| checks.contains(&place));
        assert!(is_there, "{} has no self-test at src/selftest/{}", path.display(), twin.display());
    }
    // Each file in a folder of self-tests is at the path of a shader or of a folder of shaders.
    let shaders = repository().join("shaders");
    for path in checks.iter().filter(|path| !is_area(path)) {
        let is_there =
            [path.with_extension("wgsl"), path.with_extension("")].iter().any(|path| shaders.join(path).exists());
        assert!(is_there, "src/selftest/{} tests no shader", path.display());
    }
}

#[test]
fn the_list_of_headers_is_that_of_the_files_which_others_import_and_of_the_library() {
    let list = std::fs::read_to_string(repository().join("src/shaders.rs")).unwrap();
    let headers = headers();
    for (path, _) in files("shaders", "wgsl") {
        assert_eq!(names(&list, &path), headers.contains(&path), "{}", path.display());
        assert!(headers.contains(&path) || !path.starts_with("lib"), "nothing imports {}", path.display());
    }
}

#[test]
fn headers_can_be_imported_and_have_no_entry_points_and_those_of_the_library_no_bindings() -> Result<(), String> {
    let headers = headers();
    for (path, text) in files("shaders", "wgsl").into_iter().filter(|(path, _)| headers.contains(path)) {
        let name = path.to_str().unwrap().replace('\\', "/");
        // A file that imports the struct has the binding: a header's own, or else the kernel's.
        let has_struct = name == "lib/step.wgsl" || text.contains("#import lib/step.wgsl");
        let needs_step = has_struct && !text.contains(STEP);
        let own = if needs_step { STEP } else { "" };
        let mut importing = source(Path::new("importing.wgsl"), &format!("#import {name}\n{own}"));
        // Those of a family of products need the sizes of a variant, and may call the epilogue.
        if let Some(variant) = Variant::all().iter().find(|variant| is_of(variant, &path)) {
            let text = format!("#import sizes\n#import nn/epilogue/no_sums.wgsl\n{OF_KERNELS}\n{own}\n#import {name}");
            importing = source(Path::new("importing.wgsl"), &text).with("sizes", variant.sizes());
        }
        if name == "nn/dense/block.wgsl" {
            importing =
                source(Path::new("importing.wgsl"), &format!("#import nn/epilogue/no_sums.wgsl\n#import {name}"));
        }
        if ["nn/dense/four.wgsl", "nn/convolution/phases.wgsl"].contains(&name.as_str()) {
            let finish = OF_KERNELS.lines().find(|line| line.contains("fn finish(")).unwrap();
            let text = format!("#import nn/epilogue/no_sums.wgsl\n#import rows\n{finish}\n#import {name}");
            let part = |path: &str| source(Path::new(path), &std::fs::read_to_string(repository().join(path)).unwrap());
            let of = if name.starts_with("nn/dense") { "dense" } else { "convolution" };
            let rows = part(&format!("shaders/nn/{of}/rows.wgsl"));
            let operands = part("shaders/nn/dense/operands.wgsl");
            importing = source(Path::new("importing.wgsl"), &text).with("rows", rows.with("operands", operands));
        }
        let shader = Shader::parse(&importing).map_err(|error| error.to_string())?;
        let mut own = text.lines().filter(|line| !line.starts_with("#import "));
        assert!(own.all(|line| shader.text().contains(line)), "{name}");
        let (module, _) = module(&importing)?;
        assert!(module.entry_points.is_empty(), "{name} has an entry point");
        let bound = module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some()).count();
        assert!(bound == usize::from(needs_step) || !path.starts_with("lib"), "{name} has a binding");
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
