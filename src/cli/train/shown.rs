//! What a run shows of its model after each epoch: pictures, or sentences.

use std::path::PathBuf;

use elbo::Error;
use elbo::data::{Examples, Sentences};
use elbo::files::write_atomically;
use elbo::image::Grid;
use elbo::run::RunDirectory;
use elbo::vae::{Model, Vae, Words};

use super::pictures::{Pictures, RECONSTRUCTIONS};
use crate::cli::first;

/// Sentences that are drawn, and as many that are reconstructed.
const SENTENCES: usize = 10;

/// Of them, those that the console shows.
const FEW: usize = 3;

/// What is shown, in host memory.
pub enum Shown {
    Pictures(Pictures),
    /// Lines of text.
    Text(Vec<String>),
}

impl Shown {
    /// Checks that a model's examples can be shown.
    ///
    /// # Errors
    ///
    /// As [`Grid::draws`].
    pub fn fits(model: &Model) -> Result<(), Error> {
        model.image().map_or(Ok(()), Grid::draws)
    }

    /// Decodes on the GPU. The seed is for draws that binarise test images.
    ///
    /// # Errors
    ///
    /// As [`Vae::sample`], [`Vae::reconstruct`] and [`Vae::write_sentences`].
    pub fn decode(vae: &Vae, test: Examples<'_>, seed: u64) -> Result<Shown, Error> {
        match test {
            Examples::Images(images) => {
                Pictures::decode(vae, &first(images, RECONSTRUCTIONS)?, seed).map(Shown::Pictures)
            }
            Examples::Sentences(sentences) => text(vae, sentences, seed).map(Shown::Text),
        }
    }

    /// Writes the files of an epoch. It does not use the GPU.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if one cannot be written.
    pub fn write(&self, run: &RunDirectory, epoch: u32) -> Result<(), Error> {
        match self {
            Shown::Pictures(pictures) => pictures.write(run, epoch),
            Shown::Text(lines) => write_atomically(&run.sentences(epoch), |file| {
                std::io::Write::write_all(file, format!("{}\n", lines.join("\n")).as_bytes())
            }),
        }
    }

    /// The files of an epoch, and what they have.
    pub fn files(run: &RunDirectory, model: &Model, epoch: u32) -> Vec<(&'static str, PathBuf)> {
        if model.text().is_ok() {
            return vec![("sentences", run.sentences(epoch))];
        }
        vec![("samples", run.samples(epoch)), ("reconstructions", run.reconstructions(epoch))]
    }

    /// A few sentences for the console, if it is text.
    pub fn few(&self) -> Vec<String> {
        match self {
            Shown::Pictures(_) => Vec::new(),
            Shown::Text(lines) => lines.iter().take(FEW).cloned().collect(),
        }
    }
}

/// Sentences from draws of the prior, then test sentences, each above its reconstruction.
fn text(vae: &Vae, sentences: &Sentences, seed: u64) -> Result<Vec<String>, Error> {
    let draws = Words::Draw { temperature: 1.0, top_p: 1.0, seed: 0 };
    let mut lines = vae.write_sentences(&vae.draw_latents(SENTENCES, 0)?, draws)?;
    let shown = sentences.slice(0..SENTENCES.min(sentences.count()))?;
    let means = vae.encode(&shown, seed)?.mean;
    for (index, reconstruction) in vae.write_sentences(&means, Words::Greedy)?.into_iter().enumerate() {
        lines.extend([String::new(), shown.text(index), reconstruction]);
    }
    Ok(lines)
}
