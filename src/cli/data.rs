//! `elbo data`.

mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use elbo::Error;
use elbo::data::{Binarize, Corpus, DataConfig, ImageShape, Images, Loaded, Split, Standardisation};
use elbo::image::Grid;
use elbo::likelihood::{Likelihood, LikelihoodConfig};
use serde::Serialize;

use super::input::load_images;
use super::{first, pixels, say, say_json};

/// Images in a row of the picture.
const COLUMNS: usize = 10;
/// Classes that are listed with their numbers of images.
const CLASSES: usize = 12;

/// Show what would be read: parts, shape, range, classes, and which likelihood fits; of text, lengths, vocabulary and examples
#[derive(Args)]
#[command(
    mut_arg("data", |data| data.long(None).index(1).required(false)),
    after_help = "\
Examples:
  elbo data pictures --size 64 --out grid.png
  elbo data images.npz
  elbo data sentences.txt --vocabulary 5000
  elbo data train.csv --label 1 --json"
)]
pub struct Data {
    #[command(flatten)]
    config: DataConfig,
    /// Write a grid of the first training images
    #[arg(long, value_name = "PNG", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Images in the grid
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::count(), help_heading = "Output")]
    count: usize,
    /// Print JSON, for programs
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Report<'a> {
    data: &'a str,
    height: usize,
    width: usize,
    channels: usize,
    /// `bits`, `bytes` or `floats`.
    values: &'static str,
    parts: Vec<Part<'a>>,
    likelihood: Likelihood,
    reason: &'static str,
    notes: &'a [String],
}

/// A part of the data.
#[derive(Serialize)]
struct Part<'a> {
    name: &'static str,
    images: usize,
    /// The smallest and the largest value; bytes are from 0 to 255.
    range: [f32; 2],
    /// Images of each class, by its name or its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<(String, usize)>>,
    #[serde(skip)]
    split: &'a Split,
}

impl Data {
    pub fn run(self) -> Result<ExitCode, Error> {
        if Corpus::is_at(&self.config) {
            return text::show(&Corpus::load(&self.config)?, self.out.as_deref(), self.json);
        }
        self.config.text.require_none()?;
        let loaded = load_images(&self.config)?;
        let report = Report::new(&loaded, self.config.standardise);
        if let Some(path) = &self.out {
            self.write_grid(&loaded.dataset.train.images, path)?;
        }
        if self.json {
            say_json(&report)?;
            return Ok(ExitCode::SUCCESS);
        }
        report.print()?;
        if let Some(path) = &self.out {
            say(format_args!("picture:    {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write_grid(&self, images: &Images, path: &Path) -> Result<(), Error> {
        let shown = first(images, self.count)?;
        let mut pixels = pixels(&shown);
        if self.config.standardise {
            let standardisation = Standardisation::of(images);
            pixels.iter_mut().for_each(|x| *x = standardisation.brightness(*x));
        }
        Grid { pixels: &pixels, image: shown.shape(), columns: COLUMNS }.write(path)
    }
}

impl Report<'_> {
    fn new(loaded: &Loaded, standardise: bool) -> Report<'_> {
        let Loaded { dataset, classes, notes, .. } = loaded;
        let splits = [
            ("training", Some(&dataset.train)),
            ("validation", dataset.validation.as_ref()),
            ("test", Some(&dataset.test)),
        ];
        let splits = splits.into_iter().filter_map(|(name, split)| split.map(|split| (name, split)));
        let parts: Vec<Part> = splits.map(|(name, split)| Part::new(name, split, classes)).collect();
        let every = |fits: &dyn Fn(&Images) -> bool| parts.iter().all(|part| fits(&part.split.images));
        let ImageShape { height, width, channels } = dataset.train.images.shape();
        let is_binary = every(&|images| images.pixels().all(|x| x == 0.0 || x == 1.0));
        let of = |kind| LikelihoodConfig { kind, ..LikelihoodConfig::default() };
        let has_levels = every(&|images| of(Likelihood::DiscretisedLogistic).check(images, Binarize::None, "").is_ok());
        let (likelihood, reason) = match () {
            _ if standardise => (Likelihood::Gaussian, "standardised values may be any numbers"),
            _ if is_binary => (Likelihood::Bernoulli, "all values are 0 or 1"),
            _ if has_levels && channels == 1 => (
                Likelihood::DiscretisedLogistic,
                "values have 256 levels; bernoulli describes them with --binarize, as papers do with MNIST",
            ),
            _ if has_levels => (Likelihood::DiscretisedLogistic, "values have 256 levels"),
            _ => (Likelihood::Gaussian, "values are between 0 and 1, on no levels"),
        };
        let values = match () {
            _ if is_binary => "bits",
            _ if every(&|images| images.bytes().is_some()) => "bytes",
            _ => "floats",
        };
        Report { data: &dataset.name, height, width, channels, values, parts, likelihood, reason, notes }
    }

    fn print(&self) -> Result<(), Error> {
        let Report { height, width, channels, values, likelihood, reason, .. } = *self;
        say(format_args!("data:       {}", self.data))?;
        let shape = ImageShape { height, width, channels };
        let means = match values {
            "bits" => "bits, 0 and 1 as 0 and 255",
            "bytes" => "bytes, x / 255",
            _ => "floats, as they are",
        };
        say(format_args!("images:     {shape}, {} values each: {means}", shape.dimensions()))?;
        for part in &self.parts {
            let [least, most] = part.range;
            let name = format!("{}:", part.name);
            say(format_args!("{name:11} {} images, values from {least} to {most}", part.images))?;
            if let Some(classes) = &part.classes {
                let shown = classes.iter().take(CLASSES).map(|(class, count)| format!("{class} {count}"));
                let more = classes.len().saturating_sub(CLASSES);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                say(format_args!(
                    "            {} classes: {}{more}",
                    classes.len(),
                    shown.collect::<Vec<_>>().join(", ")
                ))?;
            }
        }
        let name = likelihood.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        say(format_args!("likelihood: {name}, as {reason}"))?;
        self.notes.iter().try_for_each(|note| say(format_args!("note:       {note}")))
    }
}

impl Part<'_> {
    fn new<'a>(name: &'static str, split: &'a Split, names: &[String]) -> Part<'a> {
        let classes = split.labels.as_ref().map(|labels| {
            let mut counts = BTreeMap::<u8, usize>::new();
            labels.iter().for_each(|label| *counts.entry(*label).or_default() += 1);
            let name = |label: u8| names.get(usize::from(label)).cloned().unwrap_or_else(|| label.to_string());
            counts.into_iter().map(|(label, count)| (name(label), count)).collect()
        });
        let scale = if split.images.bytes().is_some() { 255.0 } else { 1.0 };
        let extremes = [f32::INFINITY, f32::NEG_INFINITY];
        let extremes = split.images.pixels().fold(extremes, |[least, most], x| [least.min(x), most.max(x)]);
        let range = extremes.map(|x| scale * x);
        Part { name, images: split.images.count(), range, classes, split }
    }
}
