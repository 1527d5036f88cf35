//! Finds the project's own files by walking its folders, so that none can be forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The repository. Cargo sets the variable when it runs the tests; set it too if you copy them to another machine.
pub fn repository() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

/// All files below a directory of the repository, with paths relative to it, sorted.
pub fn files(directory: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let base = repository().join(directory);
    let (mut found, mut directories) = (Vec::new(), vec![base.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
                found.push((path.strip_prefix(&base).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} file in {directory}");
    found
}

/// The names of the entry points in the text of a WGSL file.
pub fn entry_points(text: &str) -> impl Iterator<Item = &str> {
    text.split("@compute").skip(1).map(|text| {
        let (_, function) = text.split_once("fn ").expect("a function after @compute");
        function.split_once('(').expect("its parameters").0
    })
}

/// The headers among the shaders: those that others import by their path.
pub fn headers() -> BTreeSet<PathBuf> {
    let imported = |text: String| -> Vec<_> {
        let names = text.lines().filter_map(|line| line.strip_prefix("#import "));
        names.filter(|name| name.ends_with(".wgsl")).map(PathBuf::from).collect()
    };
    files("shaders", "wgsl").into_iter().flat_map(|(_, text)| imported(text)).collect()
}
