//! Examples of any kind, and data sets of them: what training and evaluation are about.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Corpus, Dataset, ImageShape, Images, Sentences, TextShape};

/// Examples of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Examples<'a> {
    /// Images.
    Images(&'a Images),
    /// Sentences.
    Sentences(&'a Sentences),
}

impl<'a> Examples<'a> {
    /// Their number, at least 1.
    pub fn count(self) -> usize {
        match self {
            Examples::Images(images) => images.count(),
            Examples::Sentences(sentences) => sentences.count(),
        }
    }

    /// The positions of each, if they are sentences.
    pub fn lengths(self) -> Vec<u32> {
        match self {
            Examples::Images(_) => Vec::new(),
            Examples::Sentences(sentences) => sentences.lengths().collect(),
        }
    }

    /// The images, if they are images.
    pub fn images(self) -> Option<&'a Images> {
        match self {
            Examples::Images(images) => Some(images),
            Examples::Sentences(_) => None,
        }
    }

    /// The sentences, if they are sentences.
    pub fn sentences(self) -> Option<&'a Sentences> {
        match self {
            Examples::Images(_) => None,
            Examples::Sentences(sentences) => Some(sentences),
        }
    }
}

impl<'a> From<&'a Images> for Examples<'a> {
    fn from(images: &'a Images) -> Examples<'a> {
        Examples::Images(images)
    }
}

impl<'a> From<&'a Sentences> for Examples<'a> {
    fn from(sentences: &'a Sentences) -> Examples<'a> {
        Examples::Sentences(sentences)
    }
}

/// A data set of one kind.
#[derive(Clone, Copy, Debug)]
pub enum DataRef<'a> {
    /// Of images.
    Images(&'a Dataset),
    /// Of sentences.
    Text(&'a Corpus),
}

impl<'a> DataRef<'a> {
    /// The name that loads it again.
    pub fn name(self) -> &'a str {
        match self {
            DataRef::Images(data) => &data.name,
            DataRef::Text(corpus) => &corpus.name,
        }
    }

    /// The training set.
    pub fn train(self) -> Examples<'a> {
        match self {
            DataRef::Images(data) => Examples::Images(&data.train.images),
            DataRef::Text(corpus) => Examples::Sentences(&corpus.train),
        }
    }

    /// The validation set, if there is one.
    pub fn validation(self) -> Option<Examples<'a>> {
        match self {
            DataRef::Images(data) => data.validation.as_ref().map(|split| Examples::Images(&split.images)),
            DataRef::Text(corpus) => corpus.validation.as_ref().map(Examples::Sentences),
        }
    }

    /// The test set.
    pub fn test(self) -> Examples<'a> {
        match self {
            DataRef::Images(data) => Examples::Images(&data.test.images),
            DataRef::Text(corpus) => Examples::Sentences(&corpus.test),
        }
    }

    /// The examples that epochs are evaluated on, and the name of their set: the validation set if there is one, else the test set.
    pub fn held_out(self) -> (&'static str, Examples<'a>) {
        self.validation().map_or_else(|| ("test", self.test()), |validation| ("validation", validation))
    }

    /// The size of its examples.
    pub fn shape(self) -> DataShape {
        match self {
            DataRef::Images(data) => DataShape::Image(data.train.images.shape()),
            DataRef::Text(corpus) => {
                let parts = [Some(&corpus.train), corpus.validation.as_ref(), Some(&corpus.test)];
                let length = parts.into_iter().flatten().map(Sentences::longest).max().unwrap_or(1);
                DataShape::Text(TextShape { vocabulary: corpus.train.vocabulary().clone(), length })
            }
        }
    }
}

impl<'a> From<&'a Dataset> for DataRef<'a> {
    fn from(data: &'a Dataset) -> DataRef<'a> {
        DataRef::Images(data)
    }
}

impl<'a> From<&'a Corpus> for DataRef<'a> {
    fn from(corpus: &'a Corpus) -> DataRef<'a> {
        DataRef::Text(corpus)
    }
}

/// The size of an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DataShape {
    /// Of an image.
    Image(ImageShape),
    /// Of a sentence.
    Text(TextShape),
}

impl From<ImageShape> for DataShape {
    fn from(shape: ImageShape) -> DataShape {
        DataShape::Image(shape)
    }
}

impl From<TextShape> for DataShape {
    fn from(shape: TextShape) -> DataShape {
        DataShape::Text(shape)
    }
}

/// What such examples are, as a message has it.
impl fmt::Display for DataShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataShape::Image(shape) => write!(f, "images of {shape}"),
            DataShape::Text(TextShape { vocabulary, length }) => {
                write!(f, "sentences of at most {} tokens, of a vocabulary of {}", length - 1, vocabulary.len())
            }
        }
    }
}
