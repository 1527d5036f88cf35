//! Draws samples from a model, and writes a picture of them.
//!
//! `cargo run --release --example sample [PICTURE.png] [MODEL.safetensors]`: without a model, it trains one for some seconds.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use elbo::image::Grid;
use elbo::likelihood::Pixels;
use elbo::nn::Layers;
use elbo::{AdapterRequest, Config, Dataset, Error, Gpu, Plan, Trainer, Vae};

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let picture = arguments.next().unwrap_or("runs/sample.png".into());
    run(&picture, arguments.next().as_deref())
}

/// Draws from the model in a file, or from one that is trained here, and writes the picture to `path`.
pub fn run(path: &Path, model: Option<&Path>) -> Result<(), Error> {
    let gpu = Gpu::open(&AdapterRequest::default())?;
    let vae = match model {
        Some(file) => Vae::load(&gpu, file)?,
        None => train(&gpu)?,
    };

    // Each sample is a draw of the latents from the prior, through the decoder: its mean, or a draw of the pixels too
    // (`Pixels::Draw`). Samples are rows of pixels from 0 to 1. The same seed gives the same samples.
    let samples = vae.sample(64, 0, Pixels::Mean)?;

    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    }
    Grid { pixels: &samples, image: vae.model().image()?, columns: 8 }.write(path)?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Trains a model on an excerpt of MNIST: examples/train.rs explains it.
fn train(gpu: &Gpu) -> Result<Vae, Error> {
    let mut data = Dataset::mnist()?;
    data.train = data.train.slice(0..4096)?;
    data.test = data.test.slice(0..64)?;
    let mut config = Config::default();
    config.model.hidden = Some(Layers::dense(&[128]));
    config.model.latents = 8;
    config.training.epochs = Some(6);
    config.training.batch_size = 64;
    config.training.learning_rate.initial = 3e-3;
    let mut trainer = Trainer::new(gpu, &Plan::new(&config, &data)?)?;
    trainer.run(|metrics, _vae| {
        println!("epoch {}: ELBO {:.1} nats", metrics.epoch, metrics.train.elbo);
        Ok(ControlFlow::Continue(()))
    })?;
    // Clones of a model share its parameters.
    Ok(trainer.vae().clone())
}
