//! How text becomes tokens: one struct is the flags, their defaults, their help and the saved JSON.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;

/// The parts that text is cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokens {
    /// Words, and each mark of punctuation
    #[default]
    Word,
    /// Characters
    Char,
    /// Bytes; the text may have any encoding
    Byte,
}

/// How text becomes tokens.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Text")]
pub struct TextOptions {
    /// What sentences are cut into; it says that the data are text, too [default: word, if the data end in .txt or .txt.gz]
    #[arg(long, value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Words of the vocabulary, the most frequent ones; others are unknown [default: 10000]
    #[arg(long, value_name = "N")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
    /// Leave words out of the vocabulary that are less frequent [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_count: Option<usize>,
    /// Leave out sentences of more tokens [default: 100, or 400 for characters and bytes]
    #[arg(long, value_name = "N")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
}

impl TextOptions {
    /// The tokens.
    pub fn tokens(&self) -> Tokens {
        self.tokens.unwrap_or_default()
    }

    /// The most words of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.unwrap_or(10_000)
    }

    /// How often a word has to occur.
    pub fn min_count(&self) -> usize {
        self.min_count.unwrap_or(1)
    }

    /// The most tokens of a sentence.
    pub fn max_length(&self) -> usize {
        self.max_length.unwrap_or(if self.tokens() == Tokens::Word { 100 } else { 400 })
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        require("--vocabulary", self.vocabulary() > 0, "at least 1", 0)?;
        require("--min-count", self.min_count() > 0, "at least 1", 0)?;
        require("--max-length", self.max_length() > 0, "at least 1", 0)
    }

    /// Checks that no option is given, as the data are not text.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names one that is.
    pub fn require_none(&self) -> Result<(), Error> {
        let TextOptions { vocabulary, min_count, max_length, .. } = *self;
        let given = [("--vocabulary", vocabulary), ("--min-count", min_count), ("--max-length", max_length)];
        let expected = "no such option unless the data are text (--tokens says that they are)";
        given.into_iter().try_for_each(|(name, value)| require(name, value.is_none(), expected, value.unwrap_or(0)))
    }
}
