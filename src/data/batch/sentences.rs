//! Sentences on the GPU, and the gathering of batches from them. The twin of `shaders/data/batch/sentences.wgsl`.

use crate::Error;
use crate::data::{Sentences, Vocabulary};
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::noise::Stream;
use crate::step::At;

const SOURCE: Source = source!("data/batch/sentences.wgsl");

/// Sentences uploaded once.
#[derive(Debug)]
pub struct DeviceSentences {
    tokens: Tensor,
    starts: Tensor,
    count: usize,
    /// The token before the first word: no word of the vocabulary.
    beginning: u32,
}

/// The tokens of a batch, position by position.
#[derive(Debug)]
pub struct TokenBatch {
    /// `(T * B)`: the tokens that the decoder describes.
    pub targets: Tensor,
    /// `(T * B)`: the tokens before them.
    pub inputs: Tensor,
    /// `(T * B)`: the targets of each sentence in reverse.
    pub reversed: Tensor,
    /// `(B)`: the positions of each sentence.
    pub lengths: Tensor,
}

impl TokenBatch {
    /// Makes the tensors for up to `batch` sentences with up to `length` positions.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn new(gpu: &Gpu, batch: usize, length: usize) -> Result<TokenBatch, Error> {
        let tokens = || Tensor::zeros(gpu, 1, length * batch);
        let lengths = Tensor::zeros(gpu, 1, batch)?;
        Ok(TokenBatch { targets: tokens()?, inputs: tokens()?, reversed: tokens()?, lengths })
    }
}

impl DeviceSentences {
    /// Uploads sentences.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if they are larger than a binding; [`Error::Gpu`] if memory runs out.
    pub fn upload(gpu: &Gpu, sentences: &Sentences) -> Result<DeviceSentences, Error> {
        let upload = |words: &[u32]| Tensor::from_values(gpu, 1, words.len(), words);
        Ok(DeviceSentences {
            tokens: upload(&sentences.words)?,
            starts: upload(&sentences.starts)?,
            count: sentences.count(),
            beginning: beginning(sentences.vocabulary()),
        })
    }

    /// The number of sentences.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Records the gathering of a batch. In training, words among the inputs become the unknown word with the probability
    /// `word_dropout`.
    ///
    /// # Shapes
    ///
    /// - `order`: `(N)`, each below the number of sentences: the caller must ensure it, the kernel does not check it
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the tensors of the batch do not fit each other.
    pub fn gather(&self, at: At<'_>, order: &Tensor, batch: &TokenBatch, word_dropout: f32) -> Result<Dispatch, Error> {
        let TokenBatch { targets, inputs, reversed, lengths } = batch;
        let (examples, tokens) = (lengths.columns(), targets.columns());
        require_shapes("gathering sentences", [targets.shape()], [inputs.shape()])?;
        let part = Part::new(SOURCE)
            .set("WORD_DROPOUT", f64::from(word_dropout))
            .set("BEGINNING", f64::from(self.beginning))
            .set("STREAM", f64::from(Stream::WordDropout as u32))
            .bind("tokens", &self.tokens)
            .bind("starts", &self.starts)
            .bind("order", order)
            .bind("targets", targets)
            .bind("inputs", inputs)
            .bind("reversed", reversed)
            .bind("lengths", lengths);
        at.launch(part, "gather")?.over([examples, tokens / examples, 1])
    }
}

/// The number of the token before the first word: the one after all those of the vocabulary.
pub fn beginning(vocabulary: &Vocabulary) -> u32 {
    vocabulary.len() as u32
}
