//! `elbo reconstruct`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::data::DataRef;
use elbo::image::paired_rows;
use elbo::vae::Model;

use super::images::ImagesArgs;
use super::words::WordsArgs;
use super::{DataArgs, GpuArgs, ModelArgs, ShowArgs, first, pixels};

/// Reconstruct test examples from their posterior means: a PNG grid with each row of originals above its reconstructions, an
/// .npy file of the reconstructions alone, or pairs of lines of text
#[derive(Args)]
pub struct Reconstruct {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Number of test examples, from the first one on [default: 30 images, 10 sentences]
    #[arg(long, value_name = "N", value_parser = super::count())]
    count: Option<usize>,
    /// Images in a row of a PNG
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    columns: usize,
    #[command(flatten)]
    out: ImagesArgs,
    #[command(flatten)]
    words: WordsArgs,
}

const IMAGES: usize = 30;
const SENTENCES: usize = 10;

impl Reconstruct {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let model = self.model.model()?;
        if model.text().is_ok() {
            return self.sentences(gpu, &model);
        }
        let file = self.out.file(&self.model, "reconstruct")?;
        let data = self.data.load(&self.model, &model)?;
        let vae = self.model.load(gpu)?;
        let images = first(&data.test.images, self.count.unwrap_or(IMAGES))?;
        let reconstructions = vae.reconstruct(&images, self.model.seed()?, self.show.pixels(0))?;
        if file.is_array {
            return file.write(&vae, reconstructions, self.columns, "reconstructions");
        }
        let pairs = paired_rows(&pixels(&images), &reconstructions, images.dimensions(), self.columns)?;
        file.write(&vae, pairs, self.columns, "originals above reconstructions")
    }

    /// Each test sentence as the model sees it, and its reconstruction below it.
    fn sentences(&self, gpu: &GpuArgs, model: &Model) -> Result<ExitCode, Error> {
        let words = self.words.choice(false, 0)?;
        let loaded = self.data.load_any(&self.model, model)?;
        let DataRef::Text(corpus) = loaded.data() else { unreachable!("data are of the model's kind") };
        let vae = self.model.load(gpu)?;
        let shown = corpus.test.slice(0..self.count.unwrap_or(SENTENCES).min(corpus.test.count()))?;
        let means = vae.encode(&shown, self.model.seed()?)?.mean;
        let mut lines = Vec::new();
        for (index, sentence) in vae.write_sentences(&means, words)?.into_iter().enumerate() {
            lines.extend([shown.text(index), sentence, String::new()]);
        }
        lines.pop();
        self.out.write_sentences(&lines)
    }
}
