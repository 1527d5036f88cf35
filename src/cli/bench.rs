//! `elbo bench`.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use elbo::config::{Config, ModelConfig, Widths};
use elbo::data::Dataset;
use elbo::gpu::{AdapterSummary, Gpu, KernelFamily};
use elbo::{Error, Trainer};
use serde::Serialize;

use super::{GpuArgs, say, say_json};

/// Images that each model trains on: enough for many steps, few enough to be there at once.
const EXAMPLES: usize = 16_384;

/// Images drawn in one measurement of sampling.
const SAMPLES: usize = 2_048;

/// Measure the speed of training and of sampling on this adapter
///
/// Trains on an excerpt of MNIST that is on the GPU, with grey pixels and Adam; the time to compile the kernels is shown by
/// itself. Figures are medians of several passes.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo bench
  elbo bench --batch-size 128 --json
  elbo bench --hidden 1024,1024 --latents 64 --batch-size 512,4096")]
pub struct Bench {
    /// Widths of the hidden layers
    #[arg(long, value_name = "WIDTHS", default_value = "400")]
    hidden: Widths,
    /// Number of latents
    #[arg(long, value_name = "N", default_value_t = 20)]
    latents: usize,
    /// Batch sizes, each measured by itself
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [32, 128, 512, 4096])]
    batch_size: Vec<usize>,
    /// Seconds to measure each for
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
    /// Print the time of each dispatch of a step by itself
    #[arg(long)]
    profile: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    adapter: AdapterSummary,
    kernels: KernelFamily,
    hidden: Widths,
    latents: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    batch_size: usize,
    /// Training, images per second: median, smallest and largest of the passes.
    images_per_second: f64,
    slowest: f64,
    fastest: f64,
    /// Floating-point operations of the products alone, over the time of the whole step.
    gflops: f64,
    samples_per_second: f64,
    dispatches_per_step: usize,
    first_step_seconds: f64,
    gpu_bytes: u64,
    /// Each dispatch of a step and its seconds, if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<(String, f64)>,
}

impl Bench {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let mut data = Dataset::mnist()?;
        data.train.images = data.train.images.slice(0..EXAMPLES)?;
        data.test.images = data.test.images.slice(0..1)?;
        // Before anything is opened: sizes that cannot work are refused here.
        for &batch_size in &self.batch_size {
            let config = self.config(batch_size);
            config.validate()?;
            config.training.validate_for(EXAMPLES)?;
        }
        let mut rows = Vec::new();
        let mut opened = None;
        for &batch_size in &self.batch_size {
            let start = Instant::now();
            let gpu = gpu.open()?;
            rows.push(self.measure(&gpu, &data, batch_size, start)?);
            opened = Some(gpu);
        }
        let Some(gpu) = opened else { return Ok(ExitCode::SUCCESS) };
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            adapter: gpu.adapter().clone(),
            kernels: gpu.kernel_family(),
            hidden: self.hidden,
            latents: self.latents,
            rows,
        };
        if self.json {
            say_json(&report)?
        } else {
            print(&report)?
        }
        Ok(ExitCode::SUCCESS)
    }

    fn config(&self, batch_size: usize) -> Config {
        let mut config = Config::default();
        config.model = ModelConfig { hidden: self.hidden.clone(), latents: self.latents, ..config.model };
        config.training.batch_size = batch_size;
        config
    }

    /// Measures one batch size on a device of its own, opened at `start`.
    fn measure(&self, gpu: &Gpu, data: &Dataset, batch_size: usize, start: Instant) -> Result<Row, Error> {
        let mut trainer = Trainer::new(gpu, data, &self.config(batch_size))?;
        trainer.epoch(|_| ControlFlow::Break(()))?;
        let first_step_seconds = start.elapsed().as_secs_f64();
        // The rest of this epoch is the warm-up.
        trainer.epoch(|_| ControlFlow::Continue(()))?;
        let mut rates = Vec::new();
        let start = Instant::now();
        while rates.len() < 3 || start.elapsed() < Duration::from_secs_f64(self.seconds.clamp(0.0, 600.0)) {
            rates.extend(trainer.epoch(|_| ControlFlow::Continue(()))?.map(|metrics| metrics.examples_per_second));
        }
        rates.sort_by(f64::total_cmp);
        let images_per_second = rates[rates.len() / 2];
        trainer.vae().sample(SAMPLES, 0)?;
        let start = Instant::now();
        trainer.vae().sample(SAMPLES, 1)?;
        let samples_per_second = SAMPLES as f64 / start.elapsed().as_secs_f64();
        let (dispatches_per_step, gflops) =
            (trainer.dispatches_per_step(), images_per_second * trainer.vae().model().training_flops() * 1e-9);
        let gpu_bytes = gpu.allocated_bytes();
        let profile = if self.profile { trainer.profile()? } else { Vec::new() };
        Ok(Row {
            batch_size,
            images_per_second,
            slowest: rates[0],
            fastest: rates[rates.len() - 1],
            gflops,
            samples_per_second,
            dispatches_per_step,
            first_step_seconds,
            gpu_bytes,
            profile: profile.into_iter().map(|(label, time)| (label, time.as_secs_f64())).collect(),
        })
    }
}

fn print(report: &Report) -> Result<(), Error> {
    let Report { adapter, kernels, hidden, latents, .. } = report;
    say(format_args!("adapter: {adapter}"))?;
    say(format_args!("model: 784, {hidden}, {latents} latents; kernels: {kernels:?}"))?;
    say("batch   images/s (slowest - fastest)   GFLOP/s   samples/s   dispatches   first step   on the GPU")?;
    for row in &report.rows {
        let range = format!("({:.0} - {:.0})", row.slowest, row.fastest);
        say(format_args!(
            "{:>5}   {:>8.0} {range:<21}   {:>7.1}   {:>9.0}   {:>10}   {:>8.2} s   {:>6.1} MiB",
            row.batch_size,
            row.images_per_second,
            row.gflops,
            row.samples_per_second,
            row.dispatches_per_step,
            row.first_step_seconds,
            row.gpu_bytes as f64 / f64::from(1 << 20),
        ))?;
        let total: f64 = row.profile.iter().map(|(_, seconds)| seconds).sum();
        for (label, seconds) in &row.profile {
            say(format_args!("        {:>8.3} ms {:>3.0}%  {label}", 1e3 * seconds, 100.0 * seconds / total))?;
        }
    }
    Ok(())
}
