//! `elbo interpolate`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::error::require;

use super::images::{ImagesArgs, require_fits};
use super::{DataArgs, GpuArgs, ModelArgs, ShowArgs, evenly_spaced, first};

/// Walk in straight lines between the posterior means of test images: a PNG grid, one pair of images a row, or an
/// .npy file, pair after pair
#[derive(Args)]
pub struct Interpolate {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Pairs of test images, from the first one on
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    pairs: usize,
    /// Images from one end to the other, both ends included
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = super::count())]
    steps: usize,
    #[command(flatten)]
    out: ImagesArgs,
}

impl Interpolate {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let file = self.out.file(&self.model, "interpolate")?;
        let data = self.data.load(&self.model)?;
        let vae = self.model.load(gpu)?;
        require_fits("--pairs", [self.pairs, self.steps], &vae)?;
        let count = data.test.images.count();
        require("--pairs", count >= 2, "a test set of at least 2 images", count)?;
        let means = vae.encode(&first(&data.test.images, self.pairs.saturating_mul(2))?, self.model.seed()?)?.mean;
        let width = vae.model().config.latents;
        let mut latents = Vec::new();
        for pair in means.chunks_exact(2 * width) {
            let (from, to) = pair.split_at(width);
            for share in evenly_spaced(0.0, 1.0, self.steps) {
                latents.extend(from.iter().zip(to).map(|(from, to)| from + share * (to - from)));
            }
        }
        file.write(&vae, vae.decode(&latents, self.show.pixels(0))?, self.steps, "interpolations, a pair a row")
    }
}
