//! `elbo bench`.

mod products;
mod text;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use elbo::config::{Config, ModelConfig};
use elbo::data::{Dataset, ImageShape, Images, Split};
use elbo::error::require;
use elbo::files::write_atomically;
use elbo::gpu::{AdapterSummary, Clock, DispatchTime, Gpu, KernelTable, peak};
use elbo::likelihood::Pixels;
use elbo::nn::Layers;
use elbo::objective::Objective;
use elbo::{Error, Plan, Trainer};
use serde::Serialize;

use super::{GpuArgs, say, say_json};
use products::Product;

/// Images that each model trains on: enough for many steps, few enough to load at once.
const EXAMPLES: usize = 16_384;

/// Images drawn in one measurement of sampling.
const SAMPLES: usize = 2_048;

/// The longest measurement, in seconds.
const LONGEST: f64 = 600.0;

/// Measure the speed of training and of sampling on this adapter
///
/// Trains on an excerpt of MNIST in GPU memory, with grey pixels and Adam. The time to compile the kernels is shown
/// separately. Figures are medians of several passes. The host's part is that of the same dispatches with empty grids.
/// The peak is the speed of multiply-adds that load nothing. The bandwidth of the memory is that of a plain copy, reads
/// plus writes.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo bench
  elbo bench --batch-size 128 --json
  elbo bench --profile --save bench.json
  elbo bench --batch-size 128 --products
  elbo bench --hidden 1024,1024 --latents 64 --batch-size 512,4096
  elbo bench --hidden gru256 --sentences 5000x25 --batch-size 64 --profile
  elbo bench --image 64x64x3 --hidden conv32k4s2,conv64k4s2,256 --batch-size 64")]
pub struct Bench {
    /// The encoder's hidden layers, as for `elbo train` [default: two models, 400 with 20 latents and 1024,1024 with 64]
    #[arg(long, value_name = "LAYERS")]
    hidden: Option<Layers>,
    /// Height, width and channels of the images, as 64x64x3, with --hidden: other sizes than MNIST's have its bytes one after the other
    #[arg(long, value_name = "HxWxC", default_value = "28x28x1", value_parser = image)]
    image: ImageShape,
    /// With recurrent layers: words of the vocabulary, and of each sentence
    #[arg(long, value_name = "WORDSxLENGTH", default_value = "5000x25", value_parser = text::sizes)]
    sentences: text::SentenceSizes,
    /// Number of latents, with --hidden [default: 20]
    #[arg(long, value_name = "N", requires = "hidden")]
    latents: Option<usize>,
    /// Batch sizes, each measured separately [default: 32,128,512,4096, and 128,512 for the larger of two models]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    batch_size: Option<Vec<usize>>,
    /// Importance samples of each image; above 1, the objective is the importance-weighted bound
    #[arg(long, value_name = "K", default_value_t = 1)]
    samples: usize,
    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
    /// Print the time of each dispatch of a step, from the GPU's timestamps if the adapter has them
    #[arg(long)]
    profile: bool,
    /// Print the time of each product with every variant of its kernels, and the one that was chosen; without --hidden, that
    /// of square products too
    #[arg(long)]
    products: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    /// Write that JSON to a file too, rewritten after each model and batch size
    #[arg(long, value_name = "PATH")]
    save: Option<PathBuf>,
}

/// `64x64x3`, or `28x28` for grey images.
fn image(text: &str) -> Result<ImageShape, String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok()).collect();
    let (height, width, channels) = match sizes.as_deref() {
        Some(&[height, width]) => (height, width, 1),
        Some(&[height, width, channels]) => (height, width, channels),
        _ => return Err(format!("expected a height, a width and perhaps channels, as 64x64x3, found `{text}`")),
    };
    let image = ImageShape { channels, height, width };
    image.validate().map(|()| image).map_err(|error| error.to_string())
}

/// An excerpt of MNIST's bytes as images of a size.
fn excerpt(image: ImageShape) -> Result<Dataset, Error> {
    let mut data = Dataset::mnist()?;
    let bytes = data.train.images.bytes().unwrap_or_default();
    let count = (bytes.len() / image.dimensions()).clamp(1, EXAMPLES);
    let pixels = bytes.iter().cycle().take(count * image.dimensions()).copied().collect();
    data.train = Split { images: Images::new(pixels, count, image)?, labels: None };
    data.test = data.train.slice(0..1)?;
    Ok(data)
}

/// A model and batch size to measure.
struct Case {
    hidden: Layers,
    latents: usize,
    batch_size: usize,
    samples: usize,
}

impl Case {
    fn config(&self) -> Config {
        let mut config = Config::default();
        config.model = ModelConfig { hidden: Some(self.hidden.clone()), latents: self.latents, ..config.model };
        config.training.batch_size = self.batch_size;
        config.training.objective.samples = self.samples;
        if self.samples > 1 {
            config.training.objective.kind = Objective::Iwae;
        }
        config
    }
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    adapter: AdapterSummary,
    /// Multiply-adds that load nothing.
    peak_gflops: f64,
    /// Bytes that a plain copy reads and writes.
    bandwidth_gb_per_second: f64,
    rows: Vec<Row>,
    /// Square products, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    squares: Vec<Product>,
}

#[derive(Serialize)]
struct Row {
    image: ImageShape,
    hidden: Layers,
    latents: usize,
    batch_size: usize,
    samples: usize,
    kernels: KernelTable,
    /// Training, images per second: median, smallest and largest of the passes.
    images_per_second: f64,
    slowest: f64,
    fastest: f64,
    /// Floating-point operations of the products alone, over the time of the whole step.
    gflops: f64,
    samples_per_second: f64,
    dispatches_per_step: usize,
    /// The host's part, if the kernels have nothing to do: to record and submit a dispatch.
    host_us_per_dispatch: f64,
    /// To record a step.
    host_record_us: f64,
    /// A step's share of a submission.
    host_submit_us: f64,
    /// A step of whole passes if the kernels have nothing to do, with what the driver takes to run it.
    empty_step_us: f64,
    first_step_seconds: f64,
    gpu_bytes: u64,
    /// Each dispatch of a step, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<DispatchTime>,
    /// The products of a step, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    products: Vec<Product>,
}

impl Report {
    /// The report on an adapter, with its peaks and no rows yet.
    fn on(gpu: &Gpu) -> Result<Report, Error> {
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            adapter: gpu.adapter().clone(),
            peak_gflops: 1e-9 * peak::flops_per_second(gpu)?,
            bandwidth_gb_per_second: 1e-9 * peak::bytes_per_second(gpu)?,
            rows: Vec::new(),
            squares: Vec::new(),
        })
    }
}

impl Bench {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        // Checked before anything is opened.
        require("--products", !self.products || gpu.kernels.is_none(), "no --kernels beside it", "both")?;
        let fits = (0.0..=LONGEST).contains(&self.seconds);
        require("--seconds", fits, "a number from 0 to 600", self.seconds)?;
        if self.hidden.as_ref().is_some_and(Layers::are_of_sentences) {
            return self.run_on_text(gpu);
        }
        let data = excerpt(self.image)?;
        let cases = self.cases();
        for case in &cases {
            let config = case.config();
            config.validate()?;
            config.training.validate_for(data.train.images.count())?;
        }
        let mut report = Report::on(&gpu.open()?)?;
        if !self.json {
            say(format_args!("adapter: {}", report.adapter))?;
            let (gflops, gb) = (report.peak_gflops, report.bandwidth_gb_per_second);
            say(format_args!("peak: {gflops:.0} GFLOP/s in f32; memory: {gb:.1} GB/s, read and written"))?;
        }
        for case in &cases {
            let start = Instant::now();
            let row = self.measure(gpu, &data, case, start)?;
            if !self.json {
                let titled = report.rows.last().is_some_and(|last| same_model(last, &row));
                print(&row, !titled, report.peak_gflops)?;
            }
            report.rows.push(row);
            self.keep(&report)?;
        }
        if self.products && self.hidden.is_none() {
            self.measure_squares(gpu, &mut report)?;
        }
        if self.json {
            say_json(&report)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn measure_squares(&self, gpu: &GpuArgs, report: &mut Report) -> Result<(), Error> {
        report.squares = products::of_squares(&gpu.request())?;
        self.keep(report)?;
        if self.json {
            return Ok(());
        }
        say("squares: a layer of N x N with N rows")?;
        report.squares.iter().try_for_each(|product| product.print(report.peak_gflops))
    }

    /// Writes the report so far to the file, if there is one.
    fn keep(&self, report: &Report) -> Result<(), Error> {
        self.save
            .as_ref()
            .map_or(Ok(()), |path| write_atomically(path, |file| Ok(serde_json::to_writer_pretty(file, report)?)))
    }

    fn cases(&self) -> Vec<Case> {
        let (small, large): (&[usize], &[usize]) = (&[32, 128, 512, 4096], &[128, 512]);
        let models = match &self.hidden {
            Some(hidden) => vec![(hidden.clone(), self.latents.unwrap_or(20), small)],
            None => vec![(Layers::dense(&[400]), 20, small), (Layers::dense(&[1024, 1024]), 64, large)],
        };
        let mut cases = Vec::new();
        for (hidden, latents, batch_sizes) in models {
            for &batch_size in self.batch_size.as_deref().unwrap_or(batch_sizes) {
                cases.push(Case { hidden: hidden.clone(), latents, batch_size, samples: self.samples });
            }
        }
        cases
    }

    /// Measures one case on a device of its own, opened at `start`.
    fn measure(&self, args: &GpuArgs, data: &Dataset, case: &Case, start: Instant) -> Result<Row, Error> {
        let gpu = args.open()?;
        let mut trainer = Trainer::new(&gpu, &Plan::new(&case.config(), data)?)?;
        let (first_step_seconds, rates) = self.time(&mut trainer, start)?;
        let images_per_second = rates[rates.len() / 2];
        trainer.vae().sample(SAMPLES, 0, Pixels::Mean)?;
        let start = Instant::now();
        trainer.vae().sample(SAMPLES, 1, Pixels::Mean)?;
        let samples_per_second = SAMPLES as f64 / start.elapsed().as_secs_f64();
        let flops = trainer.vae().model().training_flops(case.samples);
        let (dispatches_per_step, gflops) = (trainer.dispatches_per_step(), images_per_second * flops * 1e-9);
        let gpu_bytes = gpu.allocated_bytes();
        let (host, empty_step) = trainer.host_time()?;
        let us = |time: Duration| 1e6 * time.as_secs_f64();
        let profile = if self.profile { trainer.profile()? } else { Vec::new() };
        let products = match self.products {
            true => products::of_model(&args.request(), data, &case.config(), &trainer.kernels())?,
            false => Vec::new(),
        };
        Ok(Row {
            image: self.image,
            hidden: case.hidden.clone(),
            latents: case.latents,
            batch_size: case.batch_size,
            samples: case.samples,
            kernels: trainer.kernels(),
            images_per_second,
            slowest: rates[0],
            fastest: rates[rates.len() - 1],
            gflops,
            samples_per_second,
            dispatches_per_step,
            host_us_per_dispatch: us(host.record + host.submit) / dispatches_per_step as f64,
            host_record_us: us(host.record),
            host_submit_us: us(host.submit),
            empty_step_us: us(empty_step),
            first_step_seconds,
            gpu_bytes,
            profile,
            products,
        })
    }
}

impl Bench {
    /// The seconds from `start` to the end of the first step, and the examples per second of several epochs, the slowest first.
    fn time(&self, trainer: &mut Trainer, start: Instant) -> Result<(f64, Vec<f64>), Error> {
        trainer.epoch(|_| ControlFlow::Break(()))?;
        let first_step_seconds = start.elapsed().as_secs_f64();
        // The rest of this epoch is the warm-up.
        trainer.epoch(|_| ControlFlow::Continue(()))?;
        let mut rates = Vec::new();
        let start = Instant::now();
        while rates.len() < 3 || start.elapsed() < Duration::from_secs_f64(self.seconds) {
            rates.extend(trainer.epoch(|_| ControlFlow::Continue(()))?.map(|metrics| metrics.examples_per_second));
        }
        rates.sort_by(f64::total_cmp);
        Ok((first_step_seconds, rates))
    }
}

fn same_model(first: &Row, second: &Row) -> bool {
    (&first.hidden, first.latents) == (&second.hidden, second.latents)
}

fn print(row: &Row, title: bool, peak_gflops: f64) -> Result<(), Error> {
    if title {
        let samples = if row.samples > 1 { format!(" with {} samples each", row.samples) } else { String::new() };
        say(format_args!(
            "model: {}, {}, {} latents{samples}; kernels: {}",
            row.image, row.hidden, row.latents, row.kernels
        ))?;
        say(
            "batch   images/s (slowest - fastest)   GFLOP/s (of peak)   samples/s   dispatches   first step   on the GPU",
        )?;
    }
    let range = format!("({:.0} - {:.0})", row.slowest, row.fastest);
    say(format_args!(
        "{:>5}   {:>8.0} {range:<21}   {:>7.1} {:>8.0}%   {:>10.0}   {:>10}   {:>8.2} s   {:>6.1} MiB",
        row.batch_size,
        row.images_per_second,
        row.gflops,
        100.0 * row.gflops / peak_gflops,
        row.samples_per_second,
        row.dispatches_per_step,
        row.first_step_seconds,
        row.gpu_bytes as f64 / f64::from(1 << 20),
    ))?;
    say(format_args!(
        "        host: {:.2} us a dispatch; a step takes {:.1} us to record, {:.1} us to submit, {:.1} us in all if it is empty",
        row.host_us_per_dispatch, row.host_record_us, row.host_submit_us, row.empty_step_us
    ))?;
    print_profile(&row.profile)?;
    row.products.iter().try_for_each(|product| product.print(peak_gflops))
}

fn print_profile(profile: &[DispatchTime]) -> Result<(), Error> {
    let total: f64 = profile.iter().map(|time| time.seconds).sum();
    for time in profile {
        let (us, share) = (1e6 * time.seconds, 100.0 * time.seconds / total);
        let clock = if time.clock == Clock::Wall { " (wall clock)" } else { "" };
        say(format_args!("        {us:>10.1} us {share:>3.0}%  {}{clock}", time.label))?;
    }
    if !profile.is_empty() {
        say(format_args!("        {:>10.1} us       in all, each dispatch by itself", 1e6 * total))?;
    }
    Ok(())
}
