//! Trains a small model on an excerpt of MNIST, and writes it to a file.
//!
//! `cargo run --release --example train [MODEL.safetensors]`

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use elbo::nn::Layers;
use elbo::{AdapterRequest, Config, Dataset, Error, Gpu, Plan, Trainer};

fn main() -> Result<(), Error> {
    let model = std::env::args_os().nth(1).map_or("runs/train.safetensors".into(), PathBuf::from);
    run(&model)
}

/// Trains, and writes the model to `path`.
pub fn run(path: &Path) -> Result<(), Error> {
    // The best adapter of this machine: a GPU, or else a driver that runs on the CPU.
    let gpu = Gpu::open(&AdapterRequest::default())?;
    println!("adapter: {}", gpu.adapter());

    // MNIST is built in. A real run takes all of its 60,000 images, not an excerpt.
    let mut data = Dataset::mnist()?;
    data.train = data.train.slice(0..4096)?;
    data.test = data.test.slice(0..1024)?;

    // Every field has a default, and is a flag of `elbo train` too: `elbo help train` explains them all.
    let mut config = Config::default();
    config.model.hidden = Some(Layers::dense(&[128]));
    config.model.latents = 8;
    config.training.epochs = Some(4);
    config.training.batch_size = 64;
    config.training.learning_rate.initial = 3e-3;

    // A plan is a configuration that was checked, with its data; the trainer has both on the GPU.
    let plan = Plan::new(&config, &data)?;
    let mut trainer = Trainer::new(&gpu, &plan)?;
    trainer.run(|metrics, _vae| {
        let (part, held_out) = metrics.held_out();
        let (epoch, train, elbo) = (metrics.epoch, metrics.train.elbo, held_out.elbo);
        println!("epoch {epoch}: ELBO {train:.1} on the training set, {elbo:.1} on the {part} set, in nats");
        Ok(ControlFlow::Continue(())) // Break stops the training
    })?;

    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    }
    trainer.vae().save(path)?;
    println!("wrote {}, for `elbo sample` and the like, or for Vae::load", path.display());
    Ok(())
}
