//! `elbo decode`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::files::npy;

use super::images::ImagesArgs;
use super::words::WordsArgs;
use super::{GpuArgs, ModelArgs, ShowArgs};

/// Decode latents from an .npy file into a PNG grid, another .npy file, or lines of text
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
    #[command(flatten)]
    out: ImagesArgs,
    #[command(flatten)]
    words: WordsArgs,
}

impl Decode {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let is_text = self.model.model()?.text().is_ok();
        let file = if is_text { None } else { Some(self.out.file(&self.model, "decode")?) };
        let (latents, shape) = npy::read(&self.latents)?;
        let vae = self.model.load(gpu)?;
        let width = vae.model().config.latents;
        if shape.len() != 2 || shape[0] == 0 || shape[1] != width {
            return Err(Error::Format {
                path: self.latents,
                expected: format!("an array of shape (N, {width})"),
                found: format!("{shape:?}"),
            });
        }
        let Some(file) = file else {
            return self.out.write_sentences(&vae.write_sentences(&latents, self.words.choice(false, 0)?)?);
        };
        let images = vae.decode(&latents, self.show.pixels(0))?;
        file.write(&vae, images, self.columns, "decoded")
    }
}
