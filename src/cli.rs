//! The command line: one file per command.

mod adapters;
mod bench;
mod compare;
mod completions;
mod compress;
mod data;
mod decode;
mod decompress;
mod encode;
mod eval;
mod export;
mod images;
mod import;
mod input;
mod interpolate;
mod man;
mod manifold;
mod page;
mod reconstruct;
mod report;
mod sample;
mod selftest;
mod train;
mod traverse;
mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use elbo::Error;
use elbo::config::Config;
use elbo::data::Images;
use elbo::error::require;
use elbo::gpu::{AdapterRequest, Backend, Gpu, KernelRequest};
use elbo::likelihood::Pixels;
use elbo::nn::Variant;
use elbo::run::RunDirectory;
use elbo::vae::{Model, Vae};

use self::input::{DataArgs, SplitName};

/// Variational autoencoders, trained on any GPU, without CUDA and without Python.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    gpu: GpuArgs,
}

const EXAMPLES: &str = "\
Examples:
  elbo train                                    train on the built-in MNIST, into runs/1
  elbo data pictures --size 64                  what would be read from a folder of pictures
  elbo train --latents 2 --out runs/plane       a model with two latents
  elbo manifold runs/plane                      the picture of its latent plane
  elbo eval runs/1 --json                       evaluate it, with JSON for a program
  elbo report runs/1                            one HTML page with everything about it
  elbo compare runs/1 runs/2                    a table of runs, with the settings that differ
  elbo sample runs/1 --count 400 --out 400.png  draw 400 samples
  elbo compress runs/1 pictures --out p.elbo    the pictures of a folder, without loss, in fewer bytes
  elbo export runs/1 --onnx onnx                the model for onnxruntime and other programs";

#[derive(Subcommand)]
enum Command {
    Data(data::Data),
    Train(Box<train::Train>),
    Resume(train::Resume),
    Eval(eval::Eval),
    Report(report::Report),
    Compare(compare::Compare),
    Sample(sample::Sample),
    Reconstruct(reconstruct::Reconstruct),
    Interpolate(interpolate::Interpolate),
    Traverse(traverse::Traverse),
    Manifold(manifold::Manifold),
    Encode(encode::Encode),
    Decode(decode::Decode),
    Page(page::PageCommand),
    Compress(compress::Compress),
    Decompress(decompress::Decompress),
    Export(export::Export),
    Import(import::Import),
    Adapters(adapters::Adapters),
    Selftest(selftest::Selftest),
    Bench(bench::Bench),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Error> {
        let gpu = &self.gpu;
        match self.command {
            Command::Data(command) => command.run(),
            Command::Train(command) => command.run(gpu),
            Command::Resume(command) => command.run(gpu),
            Command::Eval(command) => command.run(gpu),
            Command::Report(command) => command.run(gpu),
            Command::Compare(command) => command.run(),
            Command::Sample(command) => command.run(gpu),
            Command::Reconstruct(command) => command.run(gpu),
            Command::Interpolate(command) => command.run(gpu),
            Command::Traverse(command) => command.run(gpu),
            Command::Manifold(command) => command.run(gpu),
            Command::Encode(command) => command.run(gpu),
            Command::Decode(command) => command.run(gpu),
            Command::Page(command) => command.run(gpu),
            Command::Compress(command) => command.run(),
            Command::Decompress(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::Adapters(command) => command.run(gpu),
            Command::Selftest(command) => command.run(gpu),
            Command::Bench(command) => command.run(gpu),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}

/// Which GPU to use, for every command.
#[derive(Args)]
#[command(next_help_heading = "GPU")]
struct GpuArgs {
    /// The adapter: its index as `elbo adapters` lists it, or part of its name [default: the fastest kind there is]
    #[arg(long, global = true, value_name = "INDEX|NAME")]
    adapter: Option<String>,
    /// The graphics API [default: any; WGPU_BACKEND is honoured]
    #[arg(long, global = true, value_enum)]
    backend: Option<Backend>,
    /// Check indices and loops in shaders: slower; finds faults in drivers and shaders
    #[arg(long, global = true)]
    shader_checks: bool,
    /// The kernels that multiply matrices [default: those that suit the adapter; of several, the fastest for each product,
    /// measured once and kept in the user's cache]
    #[arg(long, global = true, value_name = "NAME", value_parser = variant_names())]
    kernels: Option<&'static Variant>,
    /// Choose among several kernels by a fixed rule, not by measuring: two machines of the same kind then get the same bits
    #[arg(long, global = true, conflicts_with = "kernels")]
    no_tune: bool,
}

impl GpuArgs {
    fn request(&self) -> AdapterRequest {
        AdapterRequest {
            adapter: self.adapter.clone(),
            backend: self.backend,
            shader_checks: self.shader_checks,
            kernels: match self.kernels {
                Some(variant) => KernelRequest::Only(variant.name()),
                None if self.no_tune => KernelRequest::Fixed,
                None => KernelRequest::Measured,
            },
            most_binding_bytes: None,
            as_in_browsers: false,
            notify: Some(notify),
        }
    }

    fn open(&self) -> Result<Gpu, Error> {
        self.open_with(&self.request())
    }

    /// The same with another request for kernels, unless some were asked for.
    fn open_with(&self, request: &AdapterRequest) -> Result<Gpu, Error> {
        let gpu = Gpu::open(request)?;
        if let Some(variant) = self.kernels {
            variant.require(&gpu)?;
        }
        Ok(gpu)
    }
}

/// The names of the kernels for products, each with its purpose.
fn variant_names() -> impl TypedValueParser<Value = &'static Variant> {
    let names = Variant::all().iter().map(|variant| PossibleValue::new(variant.name()).help(variant.purpose()));
    PossibleValuesParser::new(names).try_map(|name| Variant::named(&name).ok_or("no such kernels"))
}

/// A trained model, named by its run.
#[derive(Args)]
struct ModelArgs {
    /// A run directory (its best model if there is one, else its last), or a .safetensors file
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl ModelArgs {
    fn load(&self, gpu: &GpuArgs) -> Result<Vae, Error> {
        // The file is checked first: a mistyped name should not wait for a GPU.
        let path = self.path();
        std::fs::File::open(&path).map_err(Error::io("read the model", &path))?;
        Vae::load(&gpu.open()?, &path)
    }

    /// The description of the model.
    fn model(&self) -> Result<Model, Error> {
        Model::describe_file(&self.path())
    }

    /// The model's file.
    fn path(&self) -> PathBuf {
        if self.run.is_dir() { RunDirectory::open(&self.run).model() } else { self.run.clone() }
    }

    /// The options of the run whose directory contains the model, or the defaults if the model is not part of a run.
    fn config(&self) -> Result<Config, Error> {
        if self.is_in_a_run() {
            Ok(RunDirectory::open(self.home()).read_config()?.config)
        } else {
            Ok(Config::default())
        }
    }

    fn is_in_a_run(&self) -> bool {
        self.run.is_dir() || RunDirectory::open(self.home()).has_config()
    }

    /// The run's seed, which draws that binarise images use.
    fn seed(&self) -> Result<u64, Error> {
        Ok(self.config()?.training.seed)
    }

    fn home(&self) -> &Path {
        if self.run.is_dir() { &self.run } else { self.run.parent().unwrap_or(Path::new("")) }
    }

    /// The name of the run, or of the model's file.
    fn name(&self) -> String {
        let path = std::path::absolute(&self.run).unwrap_or_else(|_| self.run.clone());
        path.file_name().map_or_else(|| self.run.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// The path of a result: by default in the run, or beside the model.
    fn output(&self, out: Option<&PathBuf>, name: &str) -> PathBuf {
        out.cloned().unwrap_or_else(|| self.home().join(name))
    }
}

/// The pixels that pictures show.
#[derive(Args)]
struct ShowArgs {
    /// Which pixels to show
    #[arg(long, value_enum, default_value_t)]
    show: Show,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Show {
    /// The mean of p(x|z)
    #[default]
    Mean,
    /// A draw from it, the same each time
    Draw,
}

impl ShowArgs {
    /// What to show. The seed is for draws.
    fn pixels(&self, seed: u64) -> Pixels {
        match self.show {
            Show::Mean => Pixels::Mean,
            Show::Draw => Pixels::Draw { seed },
        }
    }
}

/// The first `count` images, or all if there are fewer.
fn first(images: &Images, count: usize) -> Result<Images, Error> {
    images.slice(0..count.min(images.count()))
}

/// Parses a number of images: at least 1, and no more than a picture can show.
fn count() -> impl clap::builder::TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(1..=100_000).map(|count| count as usize)
}

fn check_range(range: f32) -> Result<(), Error> {
    require("--range", range.is_finite() && range > 0.0, "a finite number above 0", range)
}

/// The pixels of the files: bytes scaled to 0 to 1, floats unchanged.
fn pixels(images: &Images) -> Vec<f32> {
    images.pixels().collect()
}

/// `count` numbers from `first` to `last`, evenly spaced; only the middle if `count` is 1.
fn evenly_spaced(first: f32, last: f32, count: usize) -> impl Iterator<Item = f32> + Clone {
    (0..count).map(move |index| match count {
        1 => 0.5 * (first + last),
        _ => first + (last - first) * index as f32 / (count - 1) as f32,
    })
}

/// What a value above 0 means.
const DENSITY: &str = "note: the likelihood is a density, not a probability: the elbo may be above 0, and depends on the unit of the data";

/// The exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// A flag that Ctrl-C sets. The second Ctrl-C ends the program at once.
fn stop_on_interrupt(what: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            end_at_once();
        }
        warn(format_args!(
            "\nstopping after {what}; press Ctrl-C again to stop at once and lose what is not written yet"
        ));
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        warn(format_args!("note: Ctrl-C will end the program at once: {error}"));
    }
    stop
}

/// Ends the program without exit handlers: those of a driver crash while another thread is in the driver.
fn end_at_once() -> ! {
    // SAFETY: it never returns, and so breaks nothing that this program relies on.
    #[cfg(unix)]
    #[allow(unsafe_code, reason = "the standard library ends a program only with its exit handlers")]
    unsafe {
        libc::_exit(i32::from(INTERRUPTED))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(INTERRUPTED))
}

/// Prints a note to standard error, each note once.
fn notify(note: &str) {
    static NOTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if NOTED.lock().is_ok_and(|mut noted| noted.insert(note.to_owned())) {
        warn(format_args!("note: {note}"));
    }
}

const STANDARD_OUTPUT: &str = "standard output";

/// Prints a line to standard output. Where its reader has gone, as `head` does, the work goes on in silence: a training saves what
/// it makes, and the exit code says how a check ended.
fn say(line: impl fmt::Display) -> Result<(), Error> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::io("write to", STANDARD_OUTPUT)),
    }
}

/// Prints a line to standard error, if anybody reads it.
pub fn warn(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints a value to standard output as JSON, for programs.
fn say_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
    say(text.map_err(Error::io("write to", STANDARD_OUTPUT))?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_are_evenly_spaced() {
        assert_eq!(evenly_spaced(-1.0, 1.0, 3).collect::<Vec<_>>(), [-1.0, 0.0, 1.0]);
        assert_eq!(evenly_spaced(-1.0, 3.0, 1).collect::<Vec<_>>(), [1.0]);
    }
}
