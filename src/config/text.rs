//! The settings of models of text.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;
use crate::nn::WIDEST;

/// What models of text have besides their layers.
#[derive(Clone, Copy, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Text")]
#[serde(default)]
pub struct TextConfig {
    /// Values of a token's vector
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub embedding: usize,
    /// Encoder and decoder have the same vectors of tokens
    #[arg(long)]
    pub shared_embedding: bool,
    /// In training, replace each word that the decoder sees by the unknown word with this probability: it then needs the latents
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub word_dropout: f32,
    /// In training, drop values of the decoder's embeddings and of its last states with this probability
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub dropout: f32,
    /// The encoder reads each sentence from its end, too, with layers of their own
    #[arg(long)]
    pub bidirectional: bool,
    /// Train the decoder alone, without latents, as a baseline: a language model
    #[arg(long)]
    pub without_latents: bool,
}

impl Default for TextConfig {
    fn default() -> TextConfig {
        TextConfig {
            embedding: 128,
            shared_embedding: false,
            word_dropout: 0.0,
            dropout: 0.0,
            bidirectional: false,
            without_latents: false,
        }
    }
}

impl TextConfig {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first that cannot work.
    pub fn validate(self) -> Result<(), Error> {
        let fits = (4..=WIDEST).contains(&self.embedding) && self.embedding.is_multiple_of(4);
        require("--embedding", fits, "a multiple of 4", self.embedding)?;
        require("--word-dropout", (0.0..=1.0).contains(&self.word_dropout), "a number from 0 to 1", self.word_dropout)?;
        require("--dropout", (0.0..1.0).contains(&self.dropout), "a number from 0, below 1", self.dropout)
    }

    /// Checks that no setting is given, as the data are not text.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names one that is.
    pub fn require_none(self) -> Result<(), Error> {
        let usual = TextConfig::default();
        let given = [
            ("--embedding", self.embedding != usual.embedding),
            ("--shared-embedding", self.shared_embedding),
            ("--word-dropout", self.word_dropout != usual.word_dropout),
            ("--dropout", self.dropout != usual.dropout),
            ("--bidirectional", self.bidirectional),
            ("--without-latents", self.without_latents),
        ];
        given.into_iter().try_for_each(|(option, given)| require(option, !given, "no such option for images", "one"))
    }
}
