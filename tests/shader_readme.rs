//! `shaders/README.md` tells the truth: its slots are those that are imported, what fills a slot defines what it says there, and
//! bindings lie in the ranges that it states.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use elbo::gpu::Shader;
use elbo::nn::Variant;

use crate::support::sources::{files, headers};

/// The kernels' own bindings.
const KERNELS: RangeInclusive<u32> = 0..=9;

/// A slot's section.
struct Slot {
    /// What a part defines: each line of the code block, as [`definitions`] has it.
    defines: BTreeSet<String>,
    bindings: Option<RangeInclusive<u32>>,
}

fn readme() -> String {
    let (_, text) = files("shaders", "md").into_iter().find(|(path, _)| path == Path::new("README.md")).unwrap();
    text
}

/// `10-14`, `14`, or `none`.
fn range(text: &str) -> Option<RangeInclusive<u32>> {
    if text == "none" {
        return None;
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("`{text}` is no binding"));
    Some(number(first)..=number(last))
}

/// The sections of the slots.
fn slots(readme: &str) -> BTreeMap<String, Slot> {
    let (_, slots) = readme.split_once("\n## Slots\n").expect("a section for slots");
    let (slots, _) = slots.split_once("\n## ").expect("a section after it");
    let slot = |section: &str| {
        let (name, text) = section.split_once("`\n").expect("a heading in backquotes");
        let (_, code) = text.split_once("```wgsl\n").expect("a block of definitions");
        let (code, text) = code.split_once("```").expect("its end");
        let (_, bindings) = text.split_once("Bindings: ").expect("its bindings");
        let (bindings, _) = bindings.split_once(".\n").expect("a full stop after them");
        (name.to_owned(), Slot { defines: definitions(code), bindings: range(bindings) })
    };
    slots.split("\n### `").skip(1).map(slot).collect()
}

/// What a text defines: `ROW_SUMS` for constants, overrides and aliases, `finish(u32,u32,vec4f)->f32` for functions.
fn definitions(text: &str) -> BTreeSet<String> {
    let without_comments: String =
        text.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect();
    let mut found = BTreeSet::new();
    for word in ["const ", "override ", "alias "] {
        for line in without_comments.lines().filter_map(|line| line.strip_prefix(word)) {
            found.insert(line.split([' ', ':', '=']).next().unwrap().to_owned());
        }
    }
    for function in format!("\n{without_comments}").split("\nfn ").skip(1) {
        let (name, rest) = function.split_once('(').expect("parameters");
        let (parameters, result) = rest.split_at(closing(rest));
        // Of each parameter the type alone: a part may have better names.
        let types: String = parameters
            .split_inclusive([':', ','])
            .filter(|piece| !piece.ends_with(':'))
            .flat_map(str::chars)
            .filter(|c| !c.is_whitespace())
            .collect();
        let result = result[1..].lines().next().unwrap_or("").split('{').next().unwrap().replace(' ', "");
        found.insert(format!("{name}({}){result}", types.trim_end_matches(',')));
    }
    found
}

/// Where the parenthesis is closed that was opened before the text.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at;
        }
    }
    panic!("no closing parenthesis in {text}");
}

/// What the lines `#import name` name: slots, and headers if it ends in .wgsl.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("#import ")).map(str::trim)
}

/// The numbers of a file's own bindings.
fn bindings(text: &str) -> impl Iterator<Item = u32> {
    let number = |text: &str| text.split(')').next().and_then(|number| number.parse().ok()).expect("a number");
    text.split("@binding(").skip(1).map(number)
}

#[track_caller]
fn assert_within(path: &Path, text: &str, range: Option<&RangeInclusive<u32>>) {
    for binding in bindings(text) {
        let fits = range.is_some_and(|range| range.contains(&binding));
        assert!(fits, "{} binds {binding}, where shaders/README.md says {range:?}", path.display());
    }
}

/// A file with the headers that it imports, and theirs.
fn with_headers(text: &str, files: &BTreeMap<PathBuf, String>) -> String {
    let headers = imports(text).filter_map(|name| files.get(Path::new(name)));
    headers.map(|header| with_headers(header, files)).collect::<String>() + text
}

#[test]
fn its_slots_are_those_that_are_imported() {
    let imported: BTreeSet<_> = files("shaders", "wgsl")
        .iter()
        .flat_map(|(_, text)| imports(text).map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| !name.ends_with(".wgsl"))
        .collect();
    let described: BTreeSet<_> = slots(&readme()).into_keys().collect();
    assert_eq!(described, imported);
}

#[test]
fn its_headers_are_those_that_are_imported_with_their_bindings() {
    let readme = readme();
    let (_, table) = readme.split_once("\n## Headers\n").expect("a section for headers");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let name = cells[0].trim_end_matches('`');
        (PathBuf::from(name), range(cells[2].trim_end_matches([' ', '|'])))
    });
    let rows: BTreeMap<_, _> = rows.collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), headers());
    for (path, text) in files("shaders", "wgsl") {
        if let Some(range) = rows.get(&path) {
            assert_within(&path, &text, range.as_ref());
        }
    }
}

#[test]
fn what_fills_a_slot_defines_what_it_says_and_binds_where_it_may() {
    let (readme, headers) = (readme(), headers());
    let files: BTreeMap<_, _> = files("shaders", "wgsl").into_iter().collect();
    let slots = slots(&readme);
    let mut filled = BTreeSet::new();
    for (path, text) in files.iter().filter(|(path, _)| !headers.contains(*path)) {
        if text.contains("@compute") {
            assert_within(path, text, Some(&KERNELS));
            continue;
        }
        // A part fills the slot of which it defines a function or, where there is none, anything.
        let own = definitions(text);
        let fills = |slot: &Slot| {
            let functions: Vec<_> = slot.defines.iter().filter(|name| name.contains('(')).collect();
            if functions.is_empty() {
                !slot.defines.is_disjoint(&own)
            } else {
                functions.iter().any(|f| own.contains(*f))
            }
        };
        let found: Vec<_> = slots.iter().filter(|(_, slot)| fills(slot)).collect();
        let [(name, slot)] = found[..] else {
            panic!("{} fills {} slots of shaders/README.md", path.display(), found.len());
        };
        let all = definitions(&with_headers(text, &files));
        let missing: Vec<_> = slot.defines.difference(&all).collect();
        assert!(missing.is_empty(), "{} fills `{name}` and does not define {missing:?}", path.display());
        assert_within(path, text, slot.bindings.as_ref());
        filled.insert(name.clone());
    }
    // Variants of kernels, which are lines of a file, fill this one.
    for variant in Variant::all() {
        let own = definitions(Shader::parse(&variant.sizes()).unwrap().text());
        let missing: Vec<_> = slots["sizes"].defines.difference(&own).collect();
        assert!(missing.is_empty(), "{variant} does not define {missing:?}");
    }
    filled.insert("sizes".to_owned());
    assert_eq!(filled, slots.into_keys().collect(), "slots that nothing fills");
}

#[test]
fn signatures_and_ranges_are_read() {
    let text = "const A = 1u; // fn no()\noverride B: bool;\nalias C = array<u32, 2>;\n\
                fn f(\n    row: u32,\n    x: ptr<function, array<vec4f, A>>,\n) -> f32 {\n    return g(1);\n}\nfn g(i: u32) {}\n";
    let want = ["A", "B", "C", "f(u32,ptr<function,array<vec4f,A>>)->f32", "g(u32)"];
    assert_eq!(definitions(text), want.map(str::to_owned).into());
    assert_eq!([range("10-14"), range("14"), range("none")], [Some(10..=14), Some(14..=14), None]);
    assert_eq!(bindings("@group(0) @binding(3) a\n@group(0) @binding(12) b").collect::<Vec<_>>(), [3, 12]);
}
