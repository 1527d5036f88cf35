//! `elbo eval`.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Args;
use elbo::Error;
use elbo::eval::{Report, ReportRequest, TextReport, report};
use elbo::files::npy;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{DENSITY, DataArgs, GpuArgs, INTERRUPTED, ModelArgs, SplitName, say, say_json, stop_on_interrupt};

/// Evaluate a model as papers report it: elbo, nll, kl, log p(x), in nats per example
///
/// Without --importance-samples there is one posterior sample per example, with noise that depends only on the seed.
/// With it, log p(x) is estimated by importance sampling: the importance-weighted bound of K samples, which is on
/// average below log p(x).
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo eval runs/1
  elbo eval runs/1 --importance-samples 5000 --per-example log_prob.npy
  elbo eval runs/1/model.safetensors --split validation --json")]
pub struct Eval {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Which examples
    #[arg(long, value_enum, default_value_t)]
    split: SplitName,
    /// Estimate log p(x) with K posterior samples of each example; papers use 5000
    #[arg(long, value_name = "K")]
    importance_samples: Option<usize>,
    /// Seed of the noise, and of the draws that binarise grey images [default: the run's]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the estimate of each example's log p(x) as a NumPy array, f32 (N)
    #[arg(long, value_name = "NPY", requires = "importance_samples")]
    per_example: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    data: &'a str,
    split: SplitName,
    #[serde(flatten)]
    report: &'a Report,
}

impl Eval {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let config = self.model.config()?;
        let loaded = self.data.load_any(&self.model, &self.model.model()?)?;
        let data = loaded.data();
        let examples = self.split.of(data)?;
        let vae = self.model.load(gpu)?;
        let request = ReportRequest {
            batch_size: config.training.batch_size,
            importance_samples: self.importance_samples,
            seed: self.seed.unwrap_or(config.training.seed),
        };
        let stop = stop_on_interrupt("the estimate");
        let bar = progress_bar(self.importance_samples.is_some());
        let report = report(&vae, examples, request, |done| {
            bar.set_position((1000.0 * done) as u64);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        bar.finish_and_clear();
        let Some(report) = report? else {
            return Ok(ExitCode::from(INTERRUPTED));
        };
        // The estimate took long: it is printed before anything else can fail.
        if self.json {
            say_json(&Printed { data: data.name(), split: self.split, report: &report })?;
        } else {
            self.print(data.name(), &report)?;
            if !vae.model().config.likelihood.is_discrete() {
                say(DENSITY)?;
            }
        }
        if let (Some(path), Some(estimate)) = (&self.per_example, &report.estimate) {
            let values: Vec<f32> = estimate.log_prob.iter().map(|value| *value as f32).collect();
            npy::write(path, &values, &[values.len()])?;
            if !self.json {
                say(format_args!("log p(x) of each example: {}", path.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, data: &str, report: &Report) -> Result<(), Error> {
        let split = format!("{:?}", self.split).to_lowercase();
        let kind = if report.text.is_some() { "sentences" } else { "images" };
        say(format_args!("{data}, {} {split} {kind}, nats per example:", report.examples))?;
        if let Some(log_prob) = report.log_prob {
            let error = log_prob.standard_error.map(|error| format!("standard error {error:.3}, "));
            say(format_args!(
                "  log p(x) {:10.3}   {}{} importance samples",
                log_prob.mean,
                error.unwrap_or_default(),
                log_prob.importance_samples
            ))?;
        }
        let larger = if report.samples == 1 { "larger is better; of one sample" } else { "larger is better" };
        say(format_args!("  elbo     {:10.3}   ({larger})", report.elbo))?;
        say(format_args!("  nll      {:10.3}", report.nll))?;
        let estimated = if report.kl_is_estimate { "   the sample estimate log q(z|x) - log p(z)" } else { "" };
        say(format_args!("  kl       {:10.3}{estimated}", report.kl))?;
        if let Some(bits) = report.bits_per_dim {
            let of = if report.log_prob.is_some() { "log p(x)" } else { "elbo: an upper bound" };
            say(format_args!("bits/dim   {bits:10.4}   from {of}"))?;
        }
        if let Some(TextReport { perplexity, tokens, unknown, bits_per_character, mutual_information }) = report.text {
            let of = if report.log_prob.is_some() { "log p(x)" } else { "elbo: an upper bound" };
            let what = format!("of {tokens} tokens, with the ends of sentences, {unknown} of them unknown");
            say(format_args!("perplexity {perplexity:10.2}   from {of}, {what}"))?;
            say(format_args!("bits/char  {bits_per_character:10.4}"))?;
            say(format_args!(
                "information of x and z {mutual_information:.3} nats, over all {} sentences",
                report.examples
            ))?;
        }
        say(format_args!("active units: {} of {}", report.active_units, report.latents))?;
        if let Some(kl) = &report.kl_per_latent {
            say("kl per latent:")?;
            for (row, values) in kl.chunks(10).enumerate() {
                let values: String = values.iter().map(|value| format!(" {value:6.3}")).collect();
                say(format_args!("  {:>4}:{values}", 10 * row))?;
            }
        }
        if !report.is_log_likelihood {
            say(
                "note: the pixels are grey, but the Bernoulli likelihood describes binarised pixels: these values are not log",
            )?;
            say("likelihoods, and can only be compared with values of the same kind (--binarize binarises the data)")?;
        }
        Ok(())
    }
}

/// A progress bar if standard error is a terminal and the work is long, else a hidden one.
pub fn progress_bar(long: bool) -> ProgressBar {
    if !long || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("estimating log p(x) [{bar:24}] {percent}%, {eta} left");
    ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
