//! The project's words: phrases that readers stumble over, each with the plain word for it.

use std::fs;

use crate::support::sources::{files, repository};

/// Phrases without a good use, and what to write instead.
const PHRASES: [(&str, &str); 24] = [
    ("so many", "the given number of"),
    ("puts out", "outputs"),
    ("put out", "output"),
    ("putting out", "with the output"),
    ("whoever", "the code that"),
    ("black and white", "binarised"),
    ("to validate with", "a validation set"),
    ("validation part", "validation set"),
    ("add up", "sum"),
    ("adds up", "sums"),
    ("added up", "summed"),
    ("adding up", "summing"),
    ("goes by", "depends on"),
    ("go by", "depend on"),
    ("made again", "recomputed"),
    ("making again", "recomputing"),
    ("what becomes of", "what happens to"),
    ("is up to the", "the ... decides"),
    ("held against", "compared with"),
    ("held to a range", "clamped to a range"),
    ("worked on at a time", "processed at a time"),
    ("for want of", "because there is no"),
    ("under way", "current, or in flight"),
    ("dreams", "samples"),
];

/// The words of a text in lower case, each with its line, without punctuation and marks of comments.
fn words(text: &str) -> Vec<(String, usize)> {
    let words =
        text.lines().zip(1..).flat_map(|(line, number)| line.split_whitespace().map(move |word| (word, number)));
    words
        .map(|(word, number)| (word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase(), number))
        .filter(|(word, _)| !word.is_empty())
        .collect()
}

/// The phrases in a file, a line each. A phrase may continue on the next line.
fn found(file: &str, text: &str) -> Vec<String> {
    let words = words(text);
    let mut found = Vec::new();
    for (phrase, instead) in PHRASES {
        let parts: Vec<_> = phrase.split(' ').collect();
        for window in words.windows(parts.len()) {
            if window.iter().zip(&parts).all(|((word, _), part)| word == part) {
                found.push(format!("{file}:{}: \"{phrase}\", better: \"{instead}\"", window[0].1));
            }
        }
    }
    found
}

#[test]
fn the_project_uses_plain_words() {
    let mut texts = Vec::new();
    for (directory, extension) in [("src", "rs"), ("shaders", "wgsl"), ("examples", "rs")] {
        let files = files(directory, extension).into_iter();
        texts.extend(files.map(|(path, text)| (format!("{directory}/{}", path.display()), text)));
    }
    for file in ["README.md", "shaders/README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        if let Ok(text) = fs::read_to_string(repository().join(file)) {
            texts.push((file.to_owned(), text));
        }
    }
    let found: Vec<_> = texts.iter().flat_map(|(file, text)| found(file, text)).collect();
    assert!(found.is_empty(), "words of tests/language.rs:\n{}", found.join("\n"));
}

#[test]
fn a_phrase_is_found_also_over_two_lines() {
    let text = "/// Makes so many rows.\nfn f() {} // Whoever calls it, adds\n// up the rows.\n";
    assert_eq!(
        found("a.rs", text),
        [
            "a.rs:1: \"so many\", better: \"the given number of\"",
            "a.rs:2: \"whoever\", better: \"the code that\"",
            "a.rs:2: \"adds up\", better: \"sums\"",
        ]
    );
    assert!(found("a.rs", "/// Makes the given number of rows.\nlet so_many = many;\n").is_empty());
}
