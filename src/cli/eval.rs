//! `elbo eval`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::eval::Evaluation;
use elbo::objective::ObjectiveConfig;
use elbo::vae::Network;
use serde::Serialize;

use super::{DataArgs, GpuArgs, ModelArgs, say, say_json};

/// Evaluate a model on the test set: elbo, nll and kl, in nats per example
///
/// One posterior sample per example, with noise that depends on the run's seed alone: the result is that of the run's last
/// line in metrics.jsonl.
#[derive(Args)]
pub struct Eval {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    data: String,
    examples: usize,
    elbo: f64,
    nll: f64,
    kl: f64,
}

impl Eval {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let config = self.model.config()?;
        let data = self.data.load(&self.model)?;
        let vae = self.model.load(gpu)?;
        let images = &data.test.images;
        let training = &config.training;
        let network = Network::new(&vae, training.batch_size.min(images.count()), &ObjectiveConfig::default())?;
        let averages = Evaluation::new(&vae, &network, images, training.kl_weight, training.seed)?.run()?;
        let report = Report {
            data: data.name,
            examples: images.count(),
            elbo: averages.elbo,
            nll: averages.nll,
            kl: averages.kl,
        };
        if self.json {
            say_json(&report)?;
        } else {
            say(format_args!("{}, {} test images, nats per example:", report.data, report.examples))?;
            say(format_args!("  elbo  {:9.3}   (larger is better)", report.elbo))?;
            say(format_args!("  nll   {:9.3}", report.nll))?;
            say(format_args!("  kl    {:9.3}", report.kl))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
