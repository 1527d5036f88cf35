//! The pictures of a run after each epoch: samples, and test images with their reconstructions.

use elbo::Error;
use elbo::data::Images;
use elbo::image::{Grid, paired_rows};
use elbo::run::RunDirectory;
use elbo::vae::Vae;

use crate::cli::pixels;

const SAMPLES: usize = 100;
/// Test images to reconstruct.
pub const RECONSTRUCTIONS: usize = 30;
const COLUMNS: usize = 10;

/// The images of both pictures, `(N, height * width)`, away from the GPU.
pub struct Pictures {
    height: usize,
    width: usize,
    samples: Vec<f32>,
    reconstructions: Vec<f32>,
}

impl Pictures {
    /// Decodes the images, which needs the GPU.
    ///
    /// # Errors
    ///
    /// As [`Vae::sample`] and [`Vae::reconstruct`].
    pub fn decode(vae: &Vae, test_images: &Images) -> Result<Pictures, Error> {
        let (height, width) = (vae.model().height, vae.model().width);
        let samples = vae.sample(SAMPLES, 0)?;
        let reconstructions = vae.reconstruct(test_images)?;
        let reconstructions = paired_rows(&pixels(test_images), &reconstructions, height * width, COLUMNS)?;
        Ok(Pictures { height, width, samples, reconstructions })
    }

    /// Draws them and writes the files, which takes time but no GPU.
    ///
    /// # Errors
    ///
    /// As [`Grid::write`].
    pub fn write(&self, run: &RunDirectory, epoch: u32) -> Result<(), Error> {
        let grid = |pixels| Grid { pixels, height: self.height, width: self.width, columns: COLUMNS };
        grid(&self.samples).write(&run.samples(epoch))?;
        grid(&self.reconstructions).write(&run.reconstructions(epoch))
    }
}
