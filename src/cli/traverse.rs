//! `elbo traverse`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::error::require;
use elbo::vae::sweep;

use super::images::{ImagesArgs, require_fits};
use super::{DataArgs, GpuArgs, ModelArgs, ShowArgs, evenly_spaced};

/// Sweep each latent by itself: a PNG grid, one latent a row, the others fixed, or an .npy file, latent after latent
#[derive(Args)]
pub struct Traverse {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Fix the others at the posterior mean of this test image, counted from 0 [default: at 0, the mean of a standard
    /// normal prior; give an image with --prior mixture or vamp-prior]
    #[arg(long, value_name = "INDEX")]
    image: Option<usize>,
    /// Sweep from -X to X
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = 3.0)]
    range: f32,
    /// Images in a row
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = super::count())]
    steps: usize,
    #[command(flatten)]
    out: ImagesArgs,
}

impl Traverse {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        super::check_range(self.range)?;
        let file = self.out.file(&self.model, "traverse")?;
        let data = self.image.map(|_| self.data.load(&self.model, &self.model.model()?)).transpose()?;
        let vae = self.model.load(gpu)?;
        let width = vae.model().config.latents;
        require_fits("--steps", [width, self.steps], &vae)?;
        let base = match (self.image, data) {
            (Some(index), Some(data)) => {
                let images = &data.test.images;
                let expected = format!("below {}, the number of test images", images.count());
                require("--image", index < images.count(), &expected, index)?;
                vae.encode(&images.slice(index..index + 1)?, self.model.seed()?)?.mean
            }
            _ => vec![0.0; width],
        };
        let values = evenly_spaced(-self.range, self.range, self.steps);
        let latents: Vec<f32> = (0..width).flat_map(|latent| sweep(&base, latent, values.clone())).collect();
        file.write(&vae, vae.decode(&latents, self.show.pixels(0))?, self.steps, "traversals, a latent a row")
    }
}
