//! Sentences: text as rows of tokens, from plain or compressed files.

mod config;
mod load;
mod vocabulary;

pub use config::{TextOptions, Tokens};
pub use vocabulary::Vocabulary;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::DataConfig;
use crate::Error;
use crate::error::require;

/// The longest sentence, in positions: the kernels of each position are recorded one by one.
const LONGEST: usize = 1 << 12;

/// Sentences of words of one vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentences {
    vocabulary: Arc<Vocabulary>,
    /// The words of all sentences, one after the other.
    pub(super) words: Vec<u32>,
    /// The first word of each, and their end.
    pub(super) starts: Vec<u32>,
}

impl Sentences {
    /// Takes lines of text apart. Words that the vocabulary does not have become the unknown word.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are none, or a line has no words.
    pub fn new<'a>(lines: impl IntoIterator<Item = &'a str>, vocabulary: &Arc<Vocabulary>) -> Result<Sentences, Error> {
        let words = lines.into_iter().map(|line| vocabulary.encode(line.as_bytes()));
        Sentences::of_words(words, vocabulary)
    }

    /// Sentences of words by their numbers, which the vocabulary has.
    pub(super) fn of_words(
        sentences: impl IntoIterator<Item = Vec<u32>>,
        vocabulary: &Arc<Vocabulary>,
    ) -> Result<Sentences, Error> {
        let (mut words, mut starts) = (Vec::new(), vec![0]);
        for sentence in sentences {
            if sentence.is_empty() {
                let place = format!("none in sentence {}", starts.len());
                return Err(Error::Argument {
                    operation: "Sentences::new",
                    expected: "a word at least".into(),
                    found: place,
                });
            }
            words.extend(sentence);
            starts.push(words.len() as u32);
        }
        if starts.len() == 1 {
            let (expected, found) = ("a sentence at least".to_owned(), "none".to_owned());
            return Err(Error::Argument { operation: "Sentences::new", expected, found });
        }
        Ok(Sentences { vocabulary: Arc::clone(vocabulary), words, starts })
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// The number of sentences, at least 1.
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The words of a sentence.
    pub fn words(&self, sentence: usize) -> &[u32] {
        &self.words[self.starts[sentence] as usize..self.starts[sentence + 1] as usize]
    }

    /// A sentence as text.
    pub fn text(&self, sentence: usize) -> String {
        self.vocabulary.decode(self.words(sentence))
    }

    /// The positions of each sentence: its words and the end.
    pub fn lengths(&self) -> impl Iterator<Item = u32> + '_ {
        self.starts.windows(2).map(|pair| pair[1] - pair[0] + 1)
    }

    /// The positions of the longest sentence.
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(1) as usize
    }

    /// The positions of all sentences: what a perplexity counts.
    pub fn positions(&self) -> usize {
        self.words.len() + self.count()
    }

    /// Words that the vocabulary does not have.
    pub fn unknown(&self) -> usize {
        self.words.iter().filter(|word| **word == Vocabulary::UNKNOWN).count()
    }

    /// Some of the sentences.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the range is empty or reaches past the last sentence.
    pub fn slice(&self, range: Range<usize>) -> Result<Sentences, Error> {
        if range.is_empty() || range.end > self.count() {
            let expected = format!("some of the {} sentences", self.count());
            return Err(Error::Argument { operation: "slicing sentences", expected, found: format!("{range:?}") });
        }
        let positions: Vec<u32> = range.map(|position| position as u32).collect();
        self.take(&positions)
    }

    /// The sentences at some positions, which must exist.
    pub(super) fn take(&self, positions: &[u32]) -> Result<Sentences, Error> {
        let sentences = positions.iter().map(|position| self.words(*position as usize).to_vec());
        Sentences::of_words(sentences, &self.vocabulary)
    }
}

/// The size of the sentences that a model describes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextShape {
    /// The words.
    pub vocabulary: Arc<Vocabulary>,
    /// The most positions of a sentence: its words and the end.
    pub length: usize,
}

impl TextShape {
    /// Checks that a model can describe such sentences.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are too many positions, or the vocabulary cannot be one.
    pub fn validate(&self) -> Result<(), Error> {
        self.vocabulary.validate()?;
        let expected = format!("at most {} tokens of a sentence", LONGEST - 1);
        require("--max-length", (1..=LONGEST).contains(&self.length), &expected, self.length.saturating_sub(1))
    }
}

/// A data set of sentences: the training, validation and test sentences.
///
/// ```
/// use elbo::data::{Corpus, DataConfig};
///
/// # fn main() -> Result<(), elbo::Error> {
/// # let directory = tempfile::tempdir().map_err(elbo::Error::io("create", "a temporary directory"))?;
/// # let path = directory.path().join("text.txt");
/// # std::fs::write(&path, "the sea is calm .\n".repeat(30)).map_err(elbo::Error::io("write", &path))?;
/// let source = path.display().to_string(); // a sentence a line
/// let corpus = Corpus::load(&DataConfig { source, ..DataConfig::default() })?.corpus;
/// assert_eq!((corpus.train.count(), corpus.test.count()), (27, 3));
/// assert_eq!(corpus.train.text(0), "the sea is calm.");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Corpus {
    /// The path as given.
    pub name: String,
    /// The training set.
    pub train: Sentences,
    /// The validation set, if there is one. It decides which epoch's model is the best.
    pub validation: Option<Sentences>,
    /// The test set.
    pub test: Sentences,
}

/// A corpus that was read, with what is known about it.
#[derive(Clone, Debug)]
pub struct LoadedText {
    /// The sentences.
    pub corpus: Corpus,
    /// A line each: what was taken for what, what was split off, and what was left out.
    pub notes: Vec<String>,
}

impl Corpus {
    /// Whether data are text: a file that ends in `.txt` or `.txt.gz`, or a folder with a `train` file of that kind.
    pub fn is_at(config: &DataConfig) -> bool {
        config.text.tokens.is_some() || load::is_text(config.source.as_ref())
    }

    /// Loads a text file, a sentence a line, or a folder with `train.txt` and perhaps `valid.txt` and `test.txt`; each may end in
    /// `.gz`. The vocabulary is that of the training set. Without a test set, a part of the training set becomes one.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if a file has no sentences, or a line is not UTF-8; [`Error::Config`] if an option does not fit;
    /// [`Error::Io`] if a file cannot be read.
    pub fn load(config: &DataConfig) -> Result<LoadedText, Error> {
        load::corpus(config, None, false)
    }

    /// Loads text for a model: with its vocabulary, and no sentence that is too long for it. If `is_whole`, and the text has no parts, all
    /// sentences are in both sets.
    ///
    /// # Errors
    ///
    /// As [`Corpus::load`].
    pub fn load_for(config: &DataConfig, shape: &TextShape, is_whole: bool) -> Result<LoadedText, Error> {
        load::corpus(config, Some(shape), is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Arc<Vocabulary> {
        Arc::new(Vocabulary::of_words(Tokens::Word, ["a", "b", "."].map(str::to_owned)))
    }

    #[test]
    fn sentences_are_cut_into_words_and_counted_with_their_ends() {
        let sentences = Sentences::new(["a b.", "b", "a z a"], &vocabulary()).unwrap();
        assert_eq!((sentences.count(), sentences.longest(), sentences.positions()), (3, 4, 10));
        assert_eq!((sentences.words(0), sentences.words(2)), (&[2, 3, 4][..], &[2, 1, 2][..]));
        assert_eq!((sentences.text(0), sentences.unknown()), ("a b.".into(), 1));
        assert_eq!(sentences.slice(1..3).unwrap().lengths().collect::<Vec<_>>(), [2, 4]);
        assert!(sentences.slice(2..4).is_err() && sentences.slice(2..2).is_err());
        let error = |lines: &[&str]| Sentences::new(lines.iter().copied(), &vocabulary()).unwrap_err().to_string();
        assert_eq!(error(&[]), "Sentences::new: expected a sentence at least, found none");
        assert_eq!(error(&["a", " "]), "Sentences::new: expected a word at least, found none in sentence 2");
    }
}
