//! `elbo manifold`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;

use super::images::{ImagesArgs, require_fits};
use super::{GpuArgs, ModelArgs, ShowArgs, evenly_spaced, say};

/// Decode a grid over two latents into a PNG, the picture of a model with two latents, or into an .npy file, row after row
#[derive(Args)]
pub struct Manifold {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// The two latents, counted from 0: the first runs to the right, the second upwards; any others stay at 0
    #[arg(long, value_name = "I,J", value_delimiter = ',', default_value = "0,1")]
    dims: Vec<usize>,
    /// Images along each side
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = super::count())]
    size: usize,
    /// The grid runs from -X to X
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = 2.5)]
    range: f32,
    #[command(flatten)]
    out: ImagesArgs,
}

impl Manifold {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        super::check_range(self.range)?;
        let file = self.out.file(&self.model, "manifold")?;
        let vae = self.model.load(gpu)?;
        require_fits("--size", [self.size, self.size], &vae)?;
        let width = vae.model().config.latents;
        let &[right, up] = self.dims.as_slice() else {
            return Err(self.unfit("two latents, as in 0,1"));
        };
        if right == up || right.max(up) >= width {
            return Err(self.unfit(&format!("two different latents of the model's {width}, counted from 0")));
        }
        let mut latents = Vec::new();
        for y in evenly_spaced(self.range, -self.range, self.size) {
            for x in evenly_spaced(-self.range, self.range, self.size) {
                let start = latents.len();
                latents.resize(start + width, 0.0);
                latents[start + right] = x;
                latents[start + up] = y;
            }
        }
        if width > 2 {
            say(format_args!("note: the model's other {} latents are fixed at 0", width - 2))?;
        }
        file.write(&vae, vae.decode(&latents, self.show.pixels(0))?, self.size, "manifold")
    }

    fn unfit(&self, expected: &str) -> Error {
        let found: Vec<_> = self.dims.iter().map(usize::to_string).collect();
        Error::Config { option: "--dims", expected: expected.to_owned(), found: found.join(",") }
    }
}
