//! `elbo reconstruct`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::image::paired_rows;

use super::images::ImagesArgs;
use super::{DataArgs, GpuArgs, ModelArgs, ShowArgs, first, pixels};

/// Reconstruct test images from their posterior means: a PNG grid with each row of originals above its reconstructions, or an
/// .npy file of the reconstructions alone
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
    /// Images in a row of a PNG
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    columns: usize,
    #[command(flatten)]
    out: ImagesArgs,
}

impl Reconstruct {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let file = self.out.file(&self.model, "reconstruct")?;
        let data = self.data.load(&self.model)?;
        let vae = self.model.load(gpu)?;
        let images = first(&data.test.images, self.count)?;
        let reconstructions = vae.reconstruct(&images, self.model.seed()?, self.show.pixels(0))?;
        if file.is_array {
            return file.write(&vae, reconstructions, self.columns, "reconstructions");
        }
        let pairs = paired_rows(&pixels(&images), &reconstructions, images.dimensions(), self.columns)?;
        file.write(&vae, pairs, self.columns, "originals above reconstructions")
    }
}
