//! `elbo sample`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;

use super::images::{ImagesArgs, require_fits};
use super::{GpuArgs, ModelArgs, ShowArgs};

/// Draw latents from the prior and decode them into a PNG grid or an .npy file
#[derive(Args)]
pub struct Sample {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// Number of images
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::count())]
    count: usize,
    /// Images in a row of a PNG
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    columns: usize,
    /// Seed: the same one draws the same images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    out: ImagesArgs,
}

impl Sample {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let file = self.out.file(&self.model, "sample")?;
        let vae = self.model.load(gpu)?;
        require_fits("--count", [1, self.count], &vae)?;
        let images = vae.sample(self.count, self.seed, self.show.pixels(self.seed))?;
        file.write(&vae, images, self.columns, "samples")
    }
}
