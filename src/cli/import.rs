//! `elbo import`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::config::Config;
use elbo::gpu::KernelTable;
use elbo::run::{OutputConfig, RunConfig, RunDirectory};
use elbo::vae::Model;

use super::input::full_path;
use super::{ModelArgs, say};

/// Make a run of weights that another program trained
///
/// The tensors of the file have the names, the shapes and the type (F32) of a model.safetensors. A module that `elbo export --pytorch`
/// wrote has them, and describes the model in the file that it saves; for another file, --like or --config describes it. All commands
/// but `elbo resume` accept the run: the state of the optimiser is not part of the file.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo import trained.safetensors --data mnist --out runs/from-pytorch
  elbo import trained.safetensors --like runs/1
  elbo import trained.safetensors --config model.json --data pictures

A model.json has the sizes and what is not default, such as
  {\"height\": 28, \"width\": 28, \"hidden\": [400], \"latents\": 20, \"likelihood\": \"bernoulli\"}")]
pub struct Import {
    /// The weights, as a safetensors file
    #[arg(value_name = "FILE.safetensors")]
    file: PathBuf,
    /// A run, or a model's file, of the same architecture, whose description and data it takes over
    #[arg(long, value_name = "RUN", conflicts_with = "config")]
    like: Option<PathBuf>,
    /// The model's description as JSON: sizes, and options of `elbo train` under their names in config.json
    #[arg(long, value_name = "FILE.json")]
    config: Option<PathBuf>,
    /// The data that commands read if they are given no others [default: those of --like]
    #[arg(long, value_name = "MNIST|PATH", required_unless_present = "like")]
    data: Option<String>,
    /// The run directory to make [default: the first of runs/1, runs/2, ... that is free]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the run in that directory; other files stay
    #[arg(long)]
    overwrite: bool,
}

impl Import {
    pub fn run(self) -> Result<ExitCode, Error> {
        if let Some(out) = &self.out {
            RunDirectory::check(out, self.overwrite)?;
        }
        let bytes = fs::read(&self.file).map_err(Error::io("read the weights", &self.file))?;
        let (given, mut config) = self.described()?;
        let (model, parameters) = Model::import(&self.file, &bytes, given.as_ref())?;
        config.model = model.config.clone();
        if let Some(data) = &self.data {
            config.data.source = full_path(data);
        }
        let config = RunConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config,
            output: OutputConfig::default(),
            adapter: None,
            kernels: KernelTable::default(),
        };
        let run = RunDirectory::create(self.out.as_deref(), self.overwrite, &config)?;
        model.save(&run.last_model(), parameters.tensors())?;
        let tensors = parameters.tensors().len();
        say(format_args!("{tensors} tensors of {}: {}", self.file.display(), run.path().display()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The description that was given beside the file, and the options of its run.
    fn described(&self) -> Result<(Option<Model>, Config), Error> {
        if let Some(path) = &self.config {
            let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
            return Ok((Some(Model::parse(path, &text)?), Config::default()));
        }
        let Some(like) = &self.like else { return Ok((None, Config::default())) };
        let like = ModelArgs { run: like.clone() };
        let in_no_run = !like.is_in_a_run() && self.data.is_none();
        let found = format!("none, and {} is in no run's directory, which would name them", like.run.display());
        elbo::error::require("--data", !in_no_run, "the data, mnist or a path", found)?;
        Ok((Some(like.model()?), like.config()?))
    }
}
