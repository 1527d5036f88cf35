//! `elbo encode`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::files::npy;

use super::{DataArgs, GpuArgs, ModelArgs, SplitName, say};

/// Encode images or sentences into posterior means and log variances, as .npy files
///
/// Writes mean.npy and logvar.npy, f32 (N, latents), and labels.npy, u8 (N).
#[derive(Args)]
pub struct Encode {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Which examples
    #[arg(long, value_enum, default_value_t)]
    split: SplitName,
    /// The directory to write to [default: encoded in the run]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Encode {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let loaded = self.data.load_any(&self.model, &self.model.model()?)?;
        let examples = self.split.of(loaded.data())?;
        let vae = self.model.load(gpu)?;
        let posterior = vae.encode(examples, self.model.seed()?)?;
        let directory = self.model.output(self.out.as_ref(), "encoded");
        fs::create_dir_all(&directory).map_err(Error::io("create the directory", &directory))?;
        let shape = [examples.count(), vae.model().config.latents];
        npy::write(&directory.join("mean.npy"), &posterior.mean, &shape)?;
        npy::write(&directory.join("logvar.npy"), &posterior.logvar, &shape)?;
        let labels = match self.split.labels(loaded.data())? {
            Some(labels) => {
                npy::write_u8(&directory.join("labels.npy"), labels, &[labels.len()])?;
                "labels.npy"
            }
            None => "and no labels.npy, since the data have none",
        };
        say(format_args!("mean.npy, logvar.npy, {labels}: {}", directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
