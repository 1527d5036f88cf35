//! `elbo interpolate`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::data::{DataRef, Sentences, TextShape};
use elbo::error::require;
use elbo::vae::Model;

use super::images::{ImagesArgs, require_fits};
use super::words::WordsArgs;
use super::{DataArgs, GpuArgs, ModelArgs, ShowArgs, evenly_spaced, first, notify};

/// Walk in straight lines between posterior means: of test images, as a PNG grid, one pair of images a row, or an .npy file, pair
/// after pair; or of two sentences, as lines of text
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo interpolate runs/1 --pairs 5
  elbo interpolate runs/text \"he went to the house .\" \"and the sea was calm .\"")]
pub struct Interpolate {
    #[command(flatten)]
    model: ModelArgs,
    /// Two sentences, for a model of text [default: pairs of test sentences]
    #[arg(value_name = "SENTENCE", num_args = 2)]
    sentences: Vec<String>,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Pairs of test examples, from the first one on
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    pairs: usize,
    /// Images or sentences from one end to the other, both ends included
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = super::count())]
    steps: usize,
    #[command(flatten)]
    out: ImagesArgs,
    #[command(flatten)]
    words: WordsArgs,
}

impl Interpolate {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let model = self.model.model()?;
        if let Ok(shape) = model.text() {
            return self.walk(gpu, &model, shape);
        }
        require("SENTENCE", self.sentences.is_empty(), "a model of text", "one of images")?;
        let file = self.out.file(&self.model, "interpolate")?;
        let data = self.data.load(&self.model, &model)?;
        let vae = self.model.load(gpu)?;
        require_fits("--pairs", [self.pairs, self.steps], &vae)?;
        let count = data.test.images.count();
        require("--pairs", count >= 2, "a test set of at least 2 images", count)?;
        let means = vae.encode(&first(&data.test.images, self.pairs.saturating_mul(2))?, self.model.seed()?)?.mean;
        let latents = self.between(&means, vae.model().config.latents);
        file.write(&vae, vae.decode(&latents, self.show.pixels(0))?, self.steps, "interpolations, a pair a row")
    }

    /// The latents between each pair of rows.
    fn between(&self, means: &[f32], width: usize) -> Vec<f32> {
        let mut latents = Vec::new();
        for pair in means.chunks_exact(2 * width) {
            let (from, to) = pair.split_at(width);
            for share in evenly_spaced(0.0, 1.0, self.steps) {
                latents.extend(from.iter().zip(to).map(|(from, to)| from + share * (to - from)));
            }
        }
        latents
    }

    /// Walks between two sentences, or between test sentences.
    fn walk(&self, gpu: &GpuArgs, model: &Model, shape: &TextShape) -> Result<ExitCode, Error> {
        let words = self.words.choice(false, 0)?;
        let sentences = if self.sentences.is_empty() {
            let loaded = self.data.load_any(&self.model, model)?;
            let DataRef::Text(corpus) = loaded.data() else { unreachable!("data are of the model's kind") };
            let count = corpus.test.count();
            require("--pairs", count >= 2, "a test set of at least 2 sentences", count)?;
            corpus.test.slice(0..(2 * self.pairs).min(count))?
        } else {
            let sentences = Sentences::new(self.sentences.iter().map(String::as_str), &shape.vocabulary)?;
            if sentences.unknown() > 0 {
                let shown = [sentences.text(0), sentences.text(1)].join("\" and \"");
                notify(&format!("the model does not know all of these words: it sees \"{shown}\""));
            }
            sentences
        };
        let vae = self.model.load(gpu)?;
        let means = vae.encode(&sentences, self.model.seed()?)?.mean;
        let latents = self.between(&means, vae.model().config.latents);
        let mut lines = Vec::new();
        for pair in vae.write_sentences(&latents, words)?.chunks(self.steps) {
            lines.extend(pair.iter().cloned().chain([String::new()]));
        }
        lines.pop();
        self.out.write_sentences(&lines)
    }
}
