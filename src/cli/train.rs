//! `elbo train`.

mod device;
mod pictures;
mod preview;
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
use elbo::data::{DataConfig, DataRef};
use elbo::nn::NormKind;
use elbo::run::{OutputConfig, RunConfig, RunDirectory};
use elbo::train::{Plan, Trainer};

pub use self::resume::Resume;
use self::resume::{Begun, take};
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
  elbo train --latents 10 --kl-weight 4 --kl-warmup 5 --out runs/beta
  elbo train --epochs 200 --out runs/job --resume  in a job that may be stopped and started again
  elbo train --tensorboard --preview               then: tensorboard --logdir runs")]
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
    /// Go on with the run in that directory if it has a checkpoint, else begin it: for jobs that are started again with the same
    /// command. The options have to be those of the run
    #[arg(long, requires = "out", conflicts_with = "overwrite", help_heading = "Output")]
    resume: bool,
    #[command(flatten)]
    args: RunArgs,
}

impl Train {
    pub fn run(mut self, gpu_args: &GpuArgs) -> Result<ExitCode, Error> {
        self.config.training.batch_size = self.batch_size.unwrap_or(self.config.training.batch_size);
        self.config.validate()?;
        self.output.validate()?;
        let begun = self.begun()?;
        let loaded = load(&self.config.data)?;
        let data = loaded.data();
        let mut notes = loaded.notes().to_vec();
        let plan = self.settle(data, &mut notes)?;
        if let Some(begun) = begun {
            begun.config.require_same(&self.config, &self.output)?;
            return begun.go_on(data, false, self.args, gpu_args);
        }
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

    /// The run to go on with, if there is one. Fails if a new run must not go to `--out`.
    fn begun(&mut self) -> Result<Option<Begun>, Error> {
        let Some(out) = &self.out else { return Ok(None) };
        if self.resume && RunDirectory::open(out).has_config() {
            let (run, config) = take(out)?;
            let checkpoint = run.checkpoint();
            if checkpoint.is_file() {
                return Ok(Some(Begun { run, config, checkpoint }));
            }
            // It was stopped before its first checkpoint, perhaps while it wrote that.
            self.overwrite = !run.last_model().exists();
        }
        RunDirectory::check(out, self.overwrite)?;
        Ok(None)
    }

    /// Settles what depends on the data, and notes what was chosen.
    fn settle<'a>(&mut self, data: DataRef<'a>, notes: &mut Vec<String>) -> Result<Plan<'a>, Error> {
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
        if self.config.model.hidden.is_none() {
            let (layers, data) = (plan.model().hidden(), &plan.model().data);
            let normalised = plan.model().normalise() == NormKind::Batch;
            let normalised = if normalised { ", with batch normalisation" } else { "" };
            notes.push(format!("layers: {layers}{normalised}, which suit {data} (--hidden for others)"));
        }
        let epochs = plan.training().epochs_for(examples);
        if self.config.training.epochs.is_none() && epochs != TrainingConfig::default().epochs_for(usize::MAX) {
            notes.push(format!("{epochs} epochs, as there are few training examples (--epochs)"));
        }
        self.config.training.epochs = Some(epochs);
        self.config.model = plan.model().config.clone();
        Ok(plan)
    }
}
