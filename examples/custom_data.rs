//! Trains on images that the program makes itself, and writes a picture of some above their reconstructions.
//!
//! `cargo run --release --example custom_data [PICTURE.png]`

use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use elbo::data::{ImageShape, Images, Split};
use elbo::image::{Grid, paired_rows};
use elbo::likelihood::Pixels;
use elbo::nn::Layers;
use elbo::{AdapterRequest, Config, Dataset, Error, Gpu, Plan, Trainer};

/// The height and the width of an image.
const SIZE: usize = 16;

fn main() -> Result<(), Error> {
    run(&std::env::args_os().nth(1).map_or("runs/custom_data.png".into(), PathBuf::from))
}

/// The images of some numbers: discs and squares, as bytes, row by row.
fn shapes(numbers: Range<u32>) -> Result<Split, Error> {
    let mut bytes = Vec::new();
    for number in numbers.clone() {
        // Multiples of these three, without their whole parts, fill the unit cube evenly.
        let [x, y, size] = [0.8191725134, 0.6710436067, 0.5497004779].map(|step| (f64::from(number) * step).fract());
        let (x, y, radius) = (5.0 + 6.0 * x, 5.0 + 6.0 * y, 2.0 + 3.0 * size);
        for pixel in 0..SIZE * SIZE {
            let (right, down) = ((pixel % SIZE) as f64 - x, (pixel / SIZE) as f64 - y);
            let distance = if number % 2 == 0 { right.hypot(down) } else { right.abs().max(down.abs()) };
            bytes.push((255.0 * (radius - distance).clamp(0.0, 1.0)) as u8);
        }
    }
    Ok(Split { images: Images::new(bytes, numbers.len(), ImageShape::grey(SIZE, SIZE))?, labels: None })
}

/// Trains, and writes the picture to `path`.
pub fn run(path: &Path) -> Result<(), Error> {
    // Images of floats come from `Images::from_floats`; a folder of pictures or another file from `Dataset::load`.
    let data = Dataset { name: "shapes".into(), train: shapes(0..4096)?, validation: None, test: shapes(4096..4128)? };
    let mut config = Config::default();
    config.model.hidden = Some(Layers::dense(&[128]));
    config.model.latents = 6;
    config.training.epochs = Some(8);
    config.training.batch_size = 64;
    config.training.learning_rate.initial = 3e-3;

    let gpu = Gpu::open(&AdapterRequest::default())?;
    let mut trainer = Trainer::new(&gpu, &Plan::new(&config, &data)?)?;
    trainer.run(|metrics, _vae| {
        println!("epoch {}: ELBO {:.1} nats", metrics.epoch, metrics.held_out().1.elbo);
        Ok(ControlFlow::Continue(()))
    })?;

    let images = &data.test.images;
    let originals: Vec<f32> = images.pixels().collect();
    let reconstructions = trainer.vae().reconstruct(images, 0, Pixels::Mean)?;
    let pixels = paired_rows(&originals, &reconstructions, images.dimensions(), 16)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    }
    Grid { pixels: &pixels, image: images.shape(), columns: 16 }.write(path)?;
    println!("wrote {}", path.display());
    Ok(())
}
