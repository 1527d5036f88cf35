//! `elbo reconstruct`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::image::paired_rows;

use super::{DataArgs, GpuArgs, ModelArgs, ShowArgs, first, pixels, write_grid};

/// Reconstruct test images from their posterior means: a PNG grid with each row of originals above its reconstructions
#[derive(Args)]
pub struct Reconstruct {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Number of test images, from the first one on
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = super::count())]
    count: usize,
    /// Images in a row
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    columns: usize,
    /// The PNG to write [default: reconstruct.png in the run]
    #[arg(long, value_name = "PNG")]
    out: Option<PathBuf>,
}

impl Reconstruct {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let data = self.data.load(&self.model)?;
        let vae = self.model.load(gpu)?;
        let images = first(&data.test.images, self.count)?;
        let reconstructions = vae.reconstruct(&images, self.show.pixels(0))?;
        let pairs = paired_rows(&pixels(&images), &reconstructions, images.dimensions(), self.columns)?;
        let path = self.model.output(self.out.as_ref(), "reconstruct.png");
        write_grid(&vae, &pairs, self.columns, &path, "originals above reconstructions")
    }
}
