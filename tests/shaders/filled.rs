//! The kernels with every combination of the parts that can fill their slots.

use std::path::{Path, PathBuf};

use elbo::gpu::Source;
use elbo::nn::Variant;

use crate::support::sources::{files, headers};

/// A file under `shaders/`, as the crate embeds it: `Source` wants text that lives as long as the program.
pub fn source(path: &Path, text: &str) -> Source {
    Source::new(String::leak(path.to_str().unwrap().replace('\\', "/")), String::leak(text.to_owned()))
}

/// The slots of kernels, each with a definition that the parts for it have.
const SLOTS: [(&str, &str); 11] = [
    ("block", "fn weight_block("),
    ("clip", "fn clipped("),
    ("epilogue", "fn finish("),
    ("gradient", "fn keep_gradient("),
    ("objective", "fn loss_part("),
    ("operands", "fn input_at("),
    ("pixel", "fn pixel_mean("),
    ("prior", "fn kl_term("),
    ("rows", "fn input_term("),
    ("slope", "fn keep_slope("),
    ("words", "fn update_word("),
];

/// The files with entry points, each with every combination of parts that can fill its slots.
pub fn kernels() -> Vec<Source> {
    let files = files("shaders", "wgsl");
    let headers = headers();
    let files: Vec<_> = files.iter().filter(|(path, _)| !headers.contains(path)).collect();
    let entries = files.iter().filter(|(_, text)| text.contains("@compute"));
    let all = entries.flat_map(|(path, text)| filled(path, path, text, &files));
    all.filter(|filled| is_needed(&filled.parts)).map(|filled| filled.source).collect()
}

/// A file with its slots filled, and the files in them.
#[derive(Clone)]
struct Filled {
    source: Source,
    parts: Vec<PathBuf>,
}

/// Whether a combination says anything new: epilogues are tested with the rows of dense layers, and those of convolutions with the plain
/// epilogue.
fn is_needed(parts: &[PathBuf]) -> bool {
    let has = |path: &str| parts.iter().any(|part| part.starts_with(path));
    let of_convolution =
        |part: &PathBuf| part.starts_with("nn/convolution/rows") || part.ends_with("convolution/rows.wgsl");
    !parts.iter().any(of_convolution) || has("nn/epilogue.wgsl")
}

/// Whether a part is made for a kernel: the names of epilogues of gradients say so, and the plain one is for all. A bottleneck ends
/// in a hidden layer. The operands of lanes have a folder.
fn fits(part: &Path, slot: &str, kernel: &Path) -> bool {
    let backward = |path: &Path| path.ends_with("backward.wgsl");
    let of_hidden = part.starts_with("nn") || !kernel.to_string_lossy().contains("bottleneck");
    let of_lanes = |path: &Path| path.to_string_lossy().contains("lanes");
    match slot {
        "epilogue" => part == Path::new("nn/epilogue.wgsl") || (of_hidden && backward(part) == backward(kernel)),
        "rows" if kernel.starts_with("nn/convolution") => part.starts_with("nn/convolution"),
        "operands" if kernel.starts_with("nn/dense") => of_lanes(part) == of_lanes(kernel),
        _ => true,
    }
}

/// Whether a file is one of a variant's.
pub fn is_of(variant: &Variant, path: &Path) -> bool {
    let family = Path::new("nn/dense").join(variant.family());
    path.starts_with(&family) || path == family.with_extension("wgsl")
}

/// A file with its slots filled in every way, and the slots of those parts too.
fn filled(kernel: &Path, path: &Path, text: &str, files: &[&(PathBuf, String)]) -> Vec<Filled> {
    let mut all = vec![Filled { source: source(path, text), parts: vec![path.to_owned()] }];
    if text.contains("#import sizes\n") {
        let variants = Variant::all().iter().filter(|variant| is_of(variant, path));
        let of = |variant: &Variant| all[0].source.clone().with("sizes", variant.sizes());
        all = variants.map(|variant| Filled { source: of(variant), parts: all[0].parts.clone() }).collect();
        assert!(!all.is_empty(), "no variant is of {}", path.display());
    }
    for (slot, definition) in SLOTS {
        if text.lines().any(|line| line == format!("#import {slot}")) {
            let parts = files.iter().filter(|(part, text)| {
                text.contains(definition) && !text.contains("@compute") && fits(part, slot, kernel)
            });
            let parts: Vec<_> = parts.flat_map(|(path, text)| filled(kernel, path, text, files)).collect();
            assert!(!parts.is_empty(), "nothing fills the slot {slot}");
            let with = |file: &Filled, part: &Filled| Filled {
                source: file.source.clone().with(slot, part.source.clone()),
                parts: [file.parts.clone(), part.parts.clone()].concat(),
            };
            all = all.iter().flat_map(|file| parts.iter().map(|part| with(file, part))).collect();
        }
    }
    all
}
