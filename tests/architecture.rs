//! Dependencies point one way: a module uses only modules below it, and only `gpu` names wgpu.
//!
//! The files are found by walking `src/`. Unit tests and comments may name any module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::sources::files;

/// The modules from top to bottom. Those of one floor do not use each other.
const ORDER: [&[&str]; 19] = [
    &["cli"],
    &["report"],
    &["run"],
    &["page", "selftest"],
    &["train"],
    &["compress", "eval", "export"],
    &["vae"],
    &["config"],
    &["objective"],
    &["likelihood", "prior"],
    &["posterior"],
    &["nn"],
    &["image"],
    &["data", "optim"],
    &["step"],
    &["gpu"],
    &["graph", "noise", "numbers", "shaders"],
    &["files"],
    &["error"],
];

/// The floor of a module, counted from the top.
fn floor(module: &str) -> Option<usize> {
    ORDER.iter().position(|floor| floor.contains(&module))
}

/// The path of the module in a file below `src/`; the program's root counts as `cli`.
fn module_path(file: &Path) -> Vec<String> {
    let path = file.with_extension("");
    let path: Vec<_> = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if path == ["main"] { vec!["cli".to_owned()] } else { path }
}

/// The items that the root of the crate exports under their own names, and the modules they come from.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for line in lib.lines() {
        let Some((module, items)) = line.strip_prefix("pub use ").and_then(|path| path.split_once("::")) else {
            continue;
        };
        exports.extend(names(items).into_iter().map(|item| (item.to_owned(), module.to_owned())));
    }
    exports
}

/// The first names of what follows `crate::` or `super::`: one, or several in braces.
fn names(text: &str) -> Vec<&str> {
    let name = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = text.strip_prefix('{') else { return vec![&text[..name(text)]] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = group[start..at].trim_start();
                names.push(&item[..name(item)]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The text without comments and without the unit tests, which end a file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let without_comment = |line: &str| {
        let end = if line.trim_start().starts_with("//") { 0 } else { line.find(" //").unwrap_or(line.len()) };
        line[..end].to_owned() + "\n"
    };
    text.lines().map(without_comment).collect()
}

/// What a file uses from the root of the crate, by `crate::` and by `super::`.
fn from_root(module: &[String], code: &str) -> Vec<String> {
    let mut found = Vec::new();
    // The indentations of the modules with braces that are open.
    let mut open = Vec::new();
    let mut offset = 0;
    for line in code.split_inclusive('\n') {
        let trimmed = line.trim();
        let indentation = line.len() - line.trim_start().len();
        if trimmed.ends_with('{') && trimmed.split(' ').any(|word| word == "mod") {
            open.push(indentation);
        } else if trimmed == "}" && open.last() == Some(&indentation) {
            open.pop();
        }
        let depth = module.len() + open.len();
        let starts = |word: &str, at: usize| {
            let before = line[..at].chars().next_back();
            line[at..].starts_with(word) && !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        };
        for (at, _) in line.char_indices() {
            let path = &code[offset + at..];
            if starts("crate::", at) {
                found.extend(names(&path["crate::".len()..]));
            } else if starts("super::", at) {
                let rest = path.trim_start_matches("super::");
                if (path.len() - rest.len()) / "super::".len() == depth {
                    found.extend(names(rest));
                }
            }
        }
        offset += line.len();
    }
    found.into_iter().map(str::to_owned).collect()
}

/// The uses in a file that break the order, a line each.
fn climbing(file: &str, text: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let path = module_path(Path::new(file));
    let module = &path[0];
    let mut found = Vec::new();
    for name in from_root(&path, &code(text)) {
        let used = exports.get(&name).unwrap_or(&name);
        let below = floor(used).zip(floor(module)).is_some_and(|(used, module)| used > module);
        if used != module && !below {
            found.push(format!("src/{file} uses `{used}`, which is not below `{module}`"));
        }
    }
    found
}

/// Whether a file names wgpu though it is not part of `gpu`.
fn names_wgpu(file: &Path, text: &str) -> bool {
    module_path(file)[0] != "gpu" && (text.contains("wgpu::") || text.contains("use wgpu"))
}

/// The files below `src/` but the crate's root, and what that exports.
fn sources() -> (Vec<(PathBuf, String)>, BTreeMap<String, String>) {
    let mut files = files("src", "rs");
    let lib = files.iter().position(|(path, _)| path == Path::new("lib.rs")).expect("the crate's root");
    let (_, lib) = files.remove(lib);
    (files, exports(&lib))
}

#[test]
fn modules_use_only_modules_below_them() {
    let (files, exports) = sources();
    let found: Vec<_> = files
        .iter()
        .flat_map(|(path, text)| climbing(&path.to_str().unwrap().replace('\\', "/"), text, &exports))
        .collect();
    assert!(found.is_empty(), "against the order of tests/architecture.rs:\n{}", found.join("\n"));
}

#[test]
fn every_module_has_a_place_in_the_order() {
    let (files, _) = sources();
    let modules: BTreeSet<_> = files.iter().map(|(path, _)| module_path(path).swap_remove(0)).collect();
    let order = ORDER.concat();
    assert_eq!(modules, order.iter().map(|module| module.to_string()).collect());
    assert_eq!(modules.len(), order.len(), "a module has one place");
}

#[test]
fn only_gpu_names_wgpu() {
    let (files, _) = sources();
    let found: Vec<_> = files.iter().filter(|(path, text)| names_wgpu(path, text)).map(|(path, _)| path).collect();
    assert!(found.is_empty(), "wgpu is named outside gpu: {found:?}");
    assert!(names_wgpu(Path::new("nn/dense.rs"), "fn limits() -> wgpu::Limits {\n"));
    assert!(!names_wgpu(Path::new("gpu/dense.rs"), "fn limits() -> wgpu::Limits {\n"));
}

#[test]
fn a_use_against_the_order_is_found() {
    let exports = exports("pub use error::Error;\npub use train::Trainer;\npub use gpu::{AdapterRequest, Gpu};\n");
    let found = |file, text| climbing(file, text, &exports);
    let message = "src/gpu/tensor.rs uses `train`, which is not below `gpu`";
    for against in [
        "use crate::train::Progress;\n",
        "use crate::Trainer;\n",
        "use crate::{Error, Trainer};\n",
        "use crate::{\n    files::{npy, write_atomically},\n    train::{Progress, Trainer},\n};\n",
        "pub(crate) use super::super::train::Progress;\n",
        "    let progress = crate::train::Progress::default();\n",
        "pub mod inner {\n    use super::super::super::train::Progress;\n}\n",
        "pub mod inner {\n}\nuse super::super::train::Progress; // as it is\n",
    ] {
        assert_eq!(found("gpu/tensor.rs", against), [message], "{against}");
    }
    assert_eq!(found("data.rs", "use super::optim::Adam;\n").len(), 1, "the same floor");
    assert_eq!(found("data.rs", "use crate::nothing::Adam;\n").len(), 1, "no such module");
    for allowed in [
        "use crate::Error;\nuse crate::files::write_atomically;\nuse super::train;\nuse super::{Gpu, shader::Source};\n",
        "/// As [`crate::train::Trainer`].\nfn f() {} // crate::train\n",
        "mod inner {\n    use super::super::train;\n}\n",
        "#[cfg(test)]\nmod tests {\n    use crate::train::Trainer;\n}\n",
    ] {
        assert!(found("gpu/tensor.rs", allowed).is_empty(), "{allowed}");
    }
    assert!(found("main.rs", "use crate::cli::Cli;\nuse elbo::Gpu;\n").is_empty());
}

/// The enums that list the kinds of a part, and the module that has the only `match` over them.
const KINDS: [(&str, &str); 5] = [
    ("Likelihood", "likelihood"),
    ("Prior", "prior"),
    ("Posterior", "posterior"),
    ("Objective", "objective"),
    ("Optimiser", "optim"),
];

/// The enums whose variants a file names though it is not their home. The configuration has the rules between parts, and
/// the command line chooses.
fn kinds_named(file: &Path, text: &str) -> Vec<&'static str> {
    let module = module_path(file).swap_remove(0);
    let text = code(text);
    let names = |kind: &str| {
        let path = format!("{kind}::");
        text.match_indices(&path).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let variant = text[at + path.len()..].starts_with(|c: char| c.is_ascii_uppercase());
            variant && !before.is_some_and(|c| c.is_alphanumeric())
        })
    };
    let elsewhere = |home: &str| module != home && module != "config" && module != "cli";
    KINDS.iter().filter(|(kind, home)| elsewhere(home) && names(kind)).map(|(kind, _)| *kind).collect()
}

#[test]
fn the_kinds_of_a_part_are_named_in_one_place() {
    let (files, _) = sources();
    for (path, text) in &files {
        let found = kinds_named(path, text);
        assert!(found.is_empty(), "{} names variants of {found:?}, whose part should answer", path.display());
    }
    let text = "fn outputs() { match kind { Likelihood::Bernoulli => 1 } }\n";
    assert_eq!(kinds_named(Path::new("vae.rs"), text), ["Likelihood"]);
    assert!(kinds_named(Path::new("likelihood.rs"), text).is_empty());
    assert!(kinds_named(Path::new("vae.rs"), "use crate::likelihood::{Likelihood, LikelihoodConfig};\n").is_empty());
}

#[test]
fn the_documentation_states_the_order() {
    let lib = include_str!("../src/lib.rs");
    let floors: Vec<String> = ORDER.iter().map(|floor| floor.join(", ")).collect();
    let stated = lib.lines().skip_while(|line| !line.starts_with("//! cli -> ")).take_while(|line| *line != "//! ```");
    let stated: Vec<_> = stated.map(|line| line.trim_start_matches("//!").trim()).collect();
    assert_eq!(stated.join(" "), floors.join(" -> "));
}
