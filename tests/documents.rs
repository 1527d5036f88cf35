//! The files that the documents name are there.

use crate::support::sources::repository;

const DOCUMENTS: [&str; 7] = [
    "CONTRIBUTING.md",
    "README.md",
    "benches/README.md",
    "docs/kernels.md",
    "docs/python.md",
    "fuzz/README.md",
    "shaders/README.md",
];

/// The paths of files in backquotes and the targets of links, from the root of the repository or the document's folder.
/// Patterns, as `src/likelihood/NAME.rs`, are left out.
fn paths(text: &str) -> Vec<&str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let quoted = quoted.filter(|code| {
        let is_file = [".rs", ".wgsl", ".md", ".sh", ".toml"].iter().any(|extension| code.ends_with(extension));
        is_file && code.contains('/') && !code.starts_with('/') && !code.contains([' ', '*']) && !code.contains("NAME")
    });
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains("://"));
    quoted.chain(links).collect()
}

#[test]
fn every_file_that_a_document_names_is_there() {
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(repository().join(document)).expect(document);
        let found = paths(&text);
        assert!(!found.is_empty(), "{document} names no files");
        for path in found {
            let folders = [repository(), repository().join(document).parent().expect("a folder").to_owned()];
            let is_there = folders.iter().any(|folder| folder.join(path).exists());
            assert!(is_there, "{document} names {path}, which is not there");
        }
    }
    let text = "`src/a.rs` and [b](b/c.md), not `--flag x.rs`, `a.md` or `src/NAME.rs`";
    assert_eq!(paths(text), ["src/a.rs", "b/c.md"]);
}
