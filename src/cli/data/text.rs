//! What would be read of text.

use std::path::Path;
use std::process::ExitCode;

use elbo::Error;
use elbo::data::{LoadedText, Sentences};
use elbo::error::require;
use serde::Serialize;

use crate::cli::{say, say_json};

/// Sentences that are shown.
const EXAMPLES: usize = 5;

/// What is printed.
#[derive(Serialize)]
struct Report<'a> {
    data: &'a str,
    /// Different tokens, with the end and the unknown word.
    vocabulary: usize,
    parts: Vec<Part>,
    /// The first training sentences, as the model sees them.
    examples: Vec<String>,
    notes: &'a [String],
}

/// A part of the data.
#[derive(Serialize)]
struct Part {
    name: &'static str,
    sentences: usize,
    /// Tokens, without the ends of sentences.
    tokens: usize,
    /// Tokens of a sentence: the fewest, the median, and the most.
    lengths: [u32; 3],
    /// Tokens that the vocabulary does not have.
    unknown: usize,
}

/// Prints what was loaded.
pub fn show(loaded: &LoadedText, out: Option<&Path>, json: bool) -> Result<ExitCode, Error> {
    require("--out", out.is_none(), "images, of which there is a picture", "text")?;
    let LoadedText { corpus, notes } = loaded;
    let parts =
        [("training", Some(&corpus.train)), ("validation", corpus.validation.as_ref()), ("test", Some(&corpus.test))];
    let shown = corpus.train.count().min(EXAMPLES);
    let report = Report {
        data: &corpus.name,
        vocabulary: corpus.train.vocabulary().len(),
        parts: parts.into_iter().filter_map(|(name, part)| part.map(|part| Part::new(name, part))).collect(),
        examples: (0..shown).map(|sentence| corpus.train.text(sentence)).collect(),
        notes,
    };
    if json {
        say_json(&report)?;
    } else {
        report.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Report<'_> {
    fn print(&self) -> Result<(), Error> {
        say(format_args!("data:       {}", self.data))?;
        say(format_args!("vocabulary: {} tokens, with the end of a sentence and the unknown word", self.vocabulary))?;
        for Part { name, sentences, tokens, lengths: [least, median, most], unknown } in &self.parts {
            let (name, share) = (format!("{name}:"), 100.0 * *unknown as f64 / *tokens as f64);
            say(format_args!(
                "{name:11} {sentences} sentences, {tokens} tokens: {least} to {most} a sentence, median {median}; {unknown} unknown \
                 ({share:.1}%)"
            ))?;
        }
        self.examples.iter().try_for_each(|example| say(format_args!("example:    {example}")))?;
        self.notes.iter().try_for_each(|note| say(format_args!("note:       {note}")))
    }
}

impl Part {
    fn new(name: &'static str, part: &Sentences) -> Part {
        let mut lengths: Vec<u32> = part.lengths().map(|positions| positions - 1).collect();
        lengths.sort_unstable();
        let at = |place: usize| lengths[place];
        let of = [at(0), at(lengths.len() / 2), at(lengths.len() - 1)];
        let tokens = part.positions() - part.count();
        Part { name, sentences: part.count(), tokens, lengths: of, unknown: part.unknown() }
    }
}
