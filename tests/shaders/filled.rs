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
const SLOTS: [(&str, &str); 8] = [
    ("epilogue", "fn finish("),
    ("gradient", "fn keep_gradient("),
    ("objective", "fn loss_part("),
    ("operands", "fn input_at("),
    ("pixel", "fn pixel_mean("),
    ("prior", "fn kl_term("),
    ("slope", "fn keep_slope("),
    ("words", "fn update_word("),
];

/// The files with entry points, each with every combination of parts that can fill its slots.
pub fn kernels() -> Vec<Source> {
    let files = files("shaders", "wgsl");
    let headers = headers();
    let files: Vec<_> = files.iter().filter(|(path, _)| !headers.contains(path)).collect();
    let entries = files.iter().filter(|(_, text)| text.contains("@compute"));
    entries.flat_map(|(path, text)| filled(path, text, &files)).collect()
}

/// Whether a part is made for a kernel: the names of epilogues of gradients say so, and the plain one is for all. A bottleneck ends
/// in a hidden layer.
fn fits(part: &Path, slot: &str, kernel: &Path) -> bool {
    let backward = |path: &Path| path.ends_with("backward.wgsl");
    let of_hidden = part.starts_with("nn") || !kernel.to_string_lossy().contains("bottleneck");
    slot != "epilogue" || part == Path::new("nn/epilogue.wgsl") || (of_hidden && backward(part) == backward(kernel))
}

/// Whether a file is one of a variant's.
pub fn is_of(variant: &Variant, path: &Path) -> bool {
    let family = Path::new("nn/dense").join(variant.family());
    path.starts_with(&family) || path == family.with_extension("wgsl")
}

/// A file with its slots filled in every way, and the slots of those parts too.
fn filled(path: &Path, text: &str, files: &[&(PathBuf, String)]) -> Vec<Source> {
    let mut all = vec![source(path, text)];
    if text.contains("#import sizes\n") {
        let variants = Variant::all().iter().filter(|variant| is_of(variant, path));
        all = variants.map(|variant| all[0].clone().with("sizes", variant.sizes())).collect();
        assert!(!all.is_empty(), "no variant is of {}", path.display());
    }
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
