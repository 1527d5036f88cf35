//! `elbo page`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::config::TrainingConfig;
use elbo::data::{Dataset, Split};
use elbo::error::require;
use elbo::files::write_atomically;
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::page::Page;
use elbo::train::{Plan, Trainer};
use elbo::vae::Vae;

use super::{DataArgs, GpuArgs, ModelArgs, first, say};

/// Write a model as one HTML file, which opens in any browser: to explore its latents, and to train it there
///
/// The file needs no network. With WebGPU, the browser's GPU runs the same shaders as this program.
#[derive(Args)]
pub struct PageCommand {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// The heading of the page [default: the name of the run]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Test images on the map
    #[arg(long, value_name = "N", default_value_t = 1000)]
    points: usize,
    /// Put the first N training images and 500 test images into the page, which can then train the model from its beginning
    #[arg(long, value_name = "N")]
    train: Option<usize>,
    /// Epochs that the page can train
    #[arg(long, value_name = "N", default_value_t = 20, requires = "train")]
    epochs: u32,
    /// The file to write [default: page.html in the run]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Test images that a page which trains has.
const HELD_OUT: usize = 500;

impl PageCommand {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        require("--train", self.train != Some(0), "a number of images", 0)?;
        let data = self.data.load(&self.model, &self.model.model()?)?;
        // The simplest kernels: they suit every GPU.
        let kernels = KernelRequest::Only("tiles");
        let request = AdapterRequest { as_in_browsers: true, kernels, ..gpu.request() };
        let gpu = Gpu::open(&request)?;
        let vae = Vae::load(&gpu, &self.model.path())?;
        let test = data.test.slice(0..self.points.min(data.test.images.count()))?;
        let posterior = vae.encode(&test.images, self.model.seed()?)?;
        let trainer = self.train.map(|count| self.trainer(&gpu, &vae, &data, count)).transpose()?;
        let name = || self.model.name();
        let page = Page {
            title: &self.title.clone().unwrap_or_else(name),
            vae: &vae,
            posterior: &posterior,
            labels: test.labels.as_deref(),
            training: trainer.as_ref(),
        };
        let html = page.html()?;
        let path = self.model.output(self.out.as_ref(), "page.html");
        write_atomically(&path, |file| file.write_all(html.as_bytes()))?;
        let megabytes = html.len() as f64 / 1e6;
        say(format_args!("page: {}, {megabytes:.1} MB", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// A training of the model from its beginning, on an excerpt of its data.
    fn trainer(&self, gpu: &Gpu, vae: &Vae, data: &Dataset, count: usize) -> Result<Trainer, Error> {
        let part = |split: &Split, count: usize| {
            let images = first(&split.images, count)?;
            Ok::<_, Error>(Split { images, labels: None })
        };
        let excerpt = Dataset {
            name: data.name.clone(),
            train: part(&data.train, count)?,
            validation: None,
            test: part(&data.test, HELD_OUT)?,
        };
        let mut config = TrainingConfig { epochs: Some(self.epochs), patience: 0, ..self.model.config()?.training };
        config.shrink_batch(excerpt.train.images.count());
        Trainer::new(gpu, &Plan::of_model(vae.model().clone(), &config, &excerpt)?)
    }
}
