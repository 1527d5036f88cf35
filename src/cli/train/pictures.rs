//! The pictures of a run after each epoch: samples, and test images with their reconstructions.

use elbo::Error;
use elbo::data::{ImageShape, Images};
use elbo::image::{Grid, paired_rows};
use elbo::likelihood::Pixels;
use elbo::run::RunDirectory;
use elbo::vae::Vae;

use crate::cli::pixels;

const SAMPLES: usize = 100;
/// Test images to reconstruct.
pub const RECONSTRUCTIONS: usize = 30;
const COLUMNS: usize = 10;

/// The images of both pictures, `(N, dimensions)`, in host memory.
pub struct Pictures {
    image: ImageShape,
    samples: Vec<f32>,
    reconstructions: Vec<f32>,
}

impl Pictures {
    /// Decodes the images on the GPU. The seed is for draws that binarise test images.
    ///
    /// # Errors
    ///
    /// As [`Vae::sample`] and [`Vae::reconstruct`].
    pub fn decode(vae: &Vae, test_images: &Images, seed: u64) -> Result<Pictures, Error> {
        let image = vae.model().image()?;
        let samples = vae.sample(SAMPLES, 0, Pixels::Mean)?;
        let reconstructions = vae.reconstruct(test_images, seed, Pixels::Mean)?;
        let reconstructions = paired_rows(&pixels(test_images), &reconstructions, image.dimensions(), COLUMNS)?;
        let [samples, reconstructions] = [samples, reconstructions].map(|pixels| vae.model().shown(pixels));
        Ok(Pictures { image, samples, reconstructions })
    }

    /// Draws the pictures and writes the files. It does not use the GPU.
    ///
    /// # Errors
    ///
    /// As [`Grid::write`].
    pub fn write(&self, run: &RunDirectory, epoch: u32) -> Result<(), Error> {
        let grid = |pixels| Grid { pixels, image: self.image, columns: COLUMNS };
        grid(&self.samples).write(&run.samples(epoch))?;
        grid(&self.reconstructions).write(&run.reconstructions(epoch))
    }
}
