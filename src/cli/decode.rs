//! `elbo decode`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::files::npy;

use super::{GpuArgs, ModelArgs, ShowArgs, say, write_grid};

/// Decode latents from an .npy file into a PNG grid or another .npy file
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo encode runs/1
  elbo decode runs/1 runs/1/encoded/mean.npy --out decoded.npy")]
pub struct Decode {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// The latents, f32 or f64 (N, latents)
    #[arg(value_name = "LATENTS.npy")]
    latents: PathBuf,
    /// Images in a row of a PNG
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = super::count())]
    columns: usize,
    /// The file to write: a grid if it ends in .png, f32 (N, height, width) if it ends in .npy [default: decode.png in
    /// the run]
    #[arg(long, value_name = "PNG|NPY")]
    out: Option<PathBuf>,
}

impl Decode {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let path = self.model.output(self.out.as_ref(), "decode.png");
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
        let as_npy = match extension.as_deref() {
            Some("npy") => true,
            Some("png") => false,
            _ => {
                let expected = "a name that ends in .png or .npy".to_owned();
                return Err(Error::Config { option: "--out", expected, found: path.display().to_string() });
            }
        };
        let (latents, shape) = npy::read(&self.latents)?;
        let vae = self.model.load(gpu)?;
        let model = vae.model();
        let width = model.config.latents;
        if shape.len() != 2 || shape[0] == 0 || shape[1] != width {
            return Err(Error::Format {
                path: self.latents,
                expected: format!("an array of shape (N, {width})"),
                found: format!("{shape:?}"),
            });
        }
        let images = vae.decode(&latents, self.show.pixels(0))?;
        if !as_npy {
            return write_grid(&vae, &images, self.columns, &path, "decoded");
        }
        npy::write(&path, &images, &[vec![shape[0]], model.image.sizes()].concat())?;
        say(format_args!("decoded: {}", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
