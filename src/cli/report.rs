//! `elbo report`.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Args;
use elbo::Error;
use elbo::eval::{ReportRequest, report};
use elbo::files::write_atomically;
use elbo::report::{RunReport, Warning};
use elbo::run::RunDirectory;

use super::eval::progress_bar;
use super::{DataArgs, GpuArgs, INTERRUPTED, ModelArgs, SplitName, say, stop_on_interrupt, warn};

/// Write the report of a run: one HTML page that needs no network
///
/// It has the settings, curves with their values, samples, the best and the worst reconstructions, traversals, the KL divergence of
/// each latent, a scatter of the latents, the machine and its times, warnings, and the command that repeats the run.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo report runs/1
  elbo report runs/1 --out baseline.html --importance-samples 100
  elbo report runs/1/model.safetensors --out last.html   the last model of a run with a best one")]
pub struct Report {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Estimate the ELBO of each test example, and log p(x), with K posterior samples
    #[arg(long, value_name = "K", default_value_t = 10)]
    importance_samples: usize,
    /// The file to write [default: report.html in the run]
    #[arg(long, value_name = "HTML")]
    out: Option<PathBuf>,
}

impl Report {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        fs::metadata(&self.model.run).map_err(Error::io("read the run", &self.model.run))?;
        let run = RunDirectory::open(self.model.home());
        let config = run.read_config()?;
        let (epochs, damage) = run.read_whole_metrics()?;
        if !self.model.path().is_file() {
            return Err(run.without_model());
        }
        let loaded = self.data.load_any(&self.model, &self.model.model()?)?;
        let data = loaded.data();
        let vae = self.model.load(gpu)?;
        let training = &config.config.training;
        let (batch_size, importance_samples) = (training.batch_size, Some(self.importance_samples));
        let request = ReportRequest { batch_size, importance_samples, seed: training.seed };
        let stop = stop_on_interrupt("the estimate");
        let bar = progress_bar(true);
        let evaluation = report(&vae, data.test(), request, |done| {
            bar.set_position((1000.0 * done) as u64);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        bar.finish_and_clear();
        let Some(evaluation) = evaluation? else {
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let mut warnings = Vec::new();
        if let Some(damage) = damage {
            warn(format_args!("note: {damage}: the epochs from there on are left out"));
            warnings.push(Warning::new("Epochs are missing", format!("{damage}: those from there on are left out.")));
        }
        if self.data.is_other() {
            let text = format!("The page shows the model on {}, which it was not trained on.", data.name());
            warnings.push(Warning::new("Other data", text));
        }
        let file = self.model.path();
        let is_best = file == run.best_model();
        let epoch = epochs.iter().rev().find(|epoch| epoch.best || !is_best);
        let report = RunReport {
            name: &run.name(),
            config: &config,
            epochs: &epochs,
            warnings,
            model: &file.display().to_string(),
            model_epoch: epoch.filter(|_| is_best || file == run.last_model()).map(|epoch| epoch.epoch),
            vae: &vae,
            data,
            labels: SplitName::Test.labels(data)?,
            evaluation: &evaluation,
        };
        let (page, path) = (report.page()?, self.out.unwrap_or_else(|| run.report()));
        write_atomically(&path, |file| file.write_all(page.as_bytes()))?;
        say(format_args!("report: {}", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
