//! The file of images that a command writes: a grid as PNG, or an array.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::error::require;
use elbo::files::{npy, write_atomically};
use elbo::image::Grid;
use elbo::vae::Vae;

use super::{ModelArgs, say};

/// Where to write images or sentences.
#[derive(Args)]
pub struct ImagesArgs {
    /// The file to write: a grid of pictures if it ends in .png; f32 (N, height, width) if it ends in .npy, or (N, height, width,
    /// channels) in colour; of a model of text, lines of text [default: a .png in the run, under the command's name; text is printed]
    #[arg(long, value_name = "PNG|NPY|TXT")]
    out: Option<PathBuf>,
}

/// A file of images.
pub struct ImagesFile {
    path: PathBuf,
    /// Whether it is an array, and not a picture.
    pub is_array: bool,
}

impl ImagesArgs {
    /// Prints sentences, one a line, or writes them to the file that was given.
    pub fn write_sentences(&self, sentences: &[String]) -> Result<ExitCode, Error> {
        match &self.out {
            None => sentences.iter().try_for_each(say)?,
            Some(path) => {
                write_atomically(path, |file| sentences.iter().try_for_each(|line| writeln!(file, "{line}")))?;
                say(format_args!("{} lines: {}", sentences.len(), path.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The file, by the ending of its name. It is not opened.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for another ending than `.png` and `.npy`.
    pub fn file(&self, model: &ModelArgs, command: &str) -> Result<ImagesFile, Error> {
        let path = model.output(self.out.as_ref(), &format!("{command}.png"));
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        match ending.as_deref() {
            Some("npy") => Ok(ImagesFile { path, is_array: true }),
            Some("png") => Ok(ImagesFile { path, is_array: false }),
            _ => {
                let expected = "a name that ends in .png or .npy".to_owned();
                Err(Error::Config { option: "--out", expected, found: path.display().to_string() })
            }
        }
    }
}

/// Fails unless a file can have that many rows of images: at most 100,000 images and 2^28 values, which take 1 GiB.
///
/// # Errors
///
/// [`Error::Config`] that names the option.
pub fn require_fits(option: &'static str, [rows, columns]: [usize; 2], vae: &Vae) -> Result<(), Error> {
    const MOST_IMAGES: usize = 100_000;
    const MOST_VALUES: usize = 1 << 28;
    let image = vae.model().image()?;
    let most = MOST_IMAGES.min(MOST_VALUES / image.dimensions()).max(1);
    let fits = rows.checked_mul(columns).is_some_and(|count| count <= most);
    require(option, fits, &format!("at most {most} images of {image} in all"), format!("{rows} x {columns}"))
}

impl ImagesFile {
    /// Writes a model's images, `(N, dimensions)`, and says where they are.
    pub fn write(&self, vae: &Vae, pixels: Vec<f32>, columns: usize, what: &str) -> Result<ExitCode, Error> {
        let ImagesFile { path, is_array } = self;
        let image = vae.model().image()?;
        if *is_array {
            npy::write(path, &pixels, &[vec![pixels.len() / image.dimensions()], image.sizes()].concat())?;
        } else {
            Grid { pixels: &vae.model().shown(pixels), image, columns }.write(path)?;
        }
        say(format_args!("{what}: {}", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
