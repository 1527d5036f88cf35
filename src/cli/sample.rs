//! `elbo sample`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;

use super::images::{ImagesArgs, require_fits};
use super::words::WordsArgs;
use super::{GpuArgs, ModelArgs, ShowArgs};

/// Draw latents from the prior and decode them into a PNG grid, an .npy file, or lines of text
#[derive(Args)]
pub struct Sample {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// Number of images or sentences [default: 100 images, 10 sentences]
    #[arg(long, value_name = "N", value_parser = super::count())]
    count: Option<usize>,
    /// Images in a row of a PNG
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    columns: usize,
    /// Seed: the same one draws the same images or sentences
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    out: ImagesArgs,
    #[command(flatten)]
    words: WordsArgs,
}

const IMAGES: usize = 100;
const SENTENCES: usize = 10;

impl Sample {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        if self.model.model()?.text().is_ok() {
            let words = self.words.choice(true, self.seed)?;
            let vae = self.model.load(gpu)?;
            let latents = vae.draw_latents(self.count.unwrap_or(SENTENCES), self.seed)?;
            return self.out.write_sentences(&vae.write_sentences(&latents, words)?);
        }
        let file = self.out.file(&self.model, "sample")?;
        let vae = self.model.load(gpu)?;
        let count = self.count.unwrap_or(IMAGES);
        require_fits("--count", [1, count], &vae)?;
        let images = vae.sample(count, self.seed, self.show.pixels(self.seed))?;
        file.write(&vae, images, self.columns, "samples")
    }
}
