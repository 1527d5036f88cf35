//! `elbo sample`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;

use super::{GpuArgs, ModelArgs, ShowArgs, write_grid};

/// Draw latents from the prior and decode them into a PNG grid
#[derive(Args)]
pub struct Sample {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// Number of images
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::count())]
    count: usize,
    /// Images in a row
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    columns: usize,
    /// Seed: the same one draws the same images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The PNG to write [default: sample.png in the run]
    #[arg(long, value_name = "PNG")]
    out: Option<PathBuf>,
}

impl Sample {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let vae = self.model.load(gpu)?;
        let images = vae.sample(self.count, self.seed, self.show.pixels(self.seed))?;
        let path = self.model.output(self.out.as_ref(), "sample.png");
        write_grid(&vae, &images, self.columns, &path, "samples")
    }
}
