//! `elbo train`.

mod device;
mod pictures;
mod progress;
mod resume;
mod shown;
mod training;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::config::{Config, TrainingConfig};
use elbo::data::DataConfig;
use elbo::nn::NormKind;
use elbo::run::{OutputConfig, RunConfig, RunDirectory};
use elbo::train::{Plan, Trainer};

pub use self::resume::Resume;
use self::training::{RunArgs, Training};
use super::input::{full_path, load};
use super::{GpuArgs, say};

/// Train a model
///
/// Writes a run directory: config.json, metrics.jsonl (a line an epoch), model.safetensors, best.safetensors if there
/// is a validation set, checkpoint.safetensors (what `elbo resume` needs), curves.png, and a picture of samples and of
/// reconstructions for each epoch (see --pictures-every); of text, samples/NNNN.txt with both. Ctrl-C stops between two batches and keeps everything.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo train
  elbo train --hidden 512,256 --latents 32 --activation gelu --epochs 50 --out runs/wide
  elbo train --data /usr/share/datasets/fashion-mnist --likelihood discretised-logistic --out runs/fashion
  elbo train --data pictures --size 64 --likelihood discretised-logistic --out runs/pictures
  elbo train --binarize dynamic --objective iwae --samples 5 --validation 10000 --patience 10 --epochs 100
  elbo train --data sentences.txt --latents 32 --kl-warmup 5 --word-dropout 0.3 --out runs/text
  elbo train --latents 10 --kl-weight 4 --kl-warmup 5 --out runs/beta")]
pub struct Train {
    #[command(flatten)]
    config: Config,
    /// Examples per step; the last batch of an epoch may be smaller [default: 128, or fewer for few training examples, so that an
    /// epoch has 40 steps]
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch_size: Option<usize>,
    #[command(flatten)]
    output: OutputConfig,
    /// The run directory to make [default: the first of runs/1, runs/2, ... that is free]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Replace the run in that directory; other files stay
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
    #[command(flatten)]
    args: RunArgs,
}

impl Train {
    pub fn run(mut self, gpu_args: &GpuArgs) -> Result<ExitCode, Error> {
        self.config.training.batch_size = self.batch_size.unwrap_or(self.config.training.batch_size);
        self.config.validate()?;
        self.output.validate()?;
        if let Some(out) = &self.out {
            RunDirectory::check(out, self.overwrite)?;
        }
        let loaded = load(&self.config.data)?;
        let mut notes = loaded.notes().to_vec();
        let data = loaded.data();
        let examples = data.train().count();
        // The full paths are kept, so that the run can be evaluated and resumed from anywhere.
        let DataConfig { source, test_data, .. } = &mut self.config.data;
        for source in std::iter::once(source).chain(test_data) {
            *source = full_path(source);
        }
        if self.batch_size.is_none() && self.config.training.shrink_batch(examples) {
            let size = self.config.training.batch_size;
            notes.push(format!("batches of {size}, as there are few training examples (--batch-size)"));
        }
        let plan = Plan::new(&self.config, data)?;
        if self.config.model.hidden.is_none() && !self.args.quiet {
            let (layers, data) = (plan.model().hidden(), &plan.model().data);
            let normalised = plan.model().normalise() == NormKind::Batch;
            let normalised = if normalised { ", with batch normalisation" } else { "" };
            say(format_args!("layers: {layers}{normalised}, which suit {data} (--hidden for others)"))?;
        }
        let epochs = plan.training().epochs_for(examples);
        if self.config.training.epochs.is_none() && epochs != TrainingConfig::default().epochs_for(usize::MAX) {
            notes.push(format!("{epochs} epochs, as there are few training examples (--epochs)"));
        }
        self.config.training.epochs = Some(epochs);
        self.config.model = plan.model().config.clone();
        let gpu = gpu_args.open()?;
        let trainer = Trainer::new(&gpu, &plan)?;
        let config = RunConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config,
            output: self.output,
            adapter: Some(gpu.adapter().clone()),
            kernels: trainer.kernels(),
        };
        let run = RunDirectory::create(self.out.as_deref(), self.overwrite, &config)?;
        if !self.args.quiet {
            notes.iter().try_for_each(say)?;
        }
        Training::new(run, config, gpu, trainer, self.args).run(data, gpu_args)
    }
}
