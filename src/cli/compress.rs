//! `elbo compress`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use elbo::Error;
use elbo::compress::{self, Codec, CodecConfig, Header, Rate, Stream};
use elbo::data::{DataConfig, Fit, Loaded, Split};
use elbo::error::require;
use elbo::files::{folder_of, write_atomically};
use elbo::vae::{ExactModel, Model};
use serde::Serialize;

use super::input::{image_bar, with_progress};
use super::{ModelArgs, SplitName, notify, say, say_json};

/// Compress images without loss, with a trained model
///
/// The model has to have a discrete likelihood: discretised-logistic or beta-binomial for bytes, bernoulli for images of 0 and 1 alone,
/// categorical for as many levels as it has. It runs on the CPU, where its results are the same on every machine: what one machine
/// wrote, each other one decodes. The model is not part of the file unless --embed-model is given.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo compress runs/1 pictures --out pictures.elbo
  elbo decompress pictures.elbo --model runs/1 --out restored
  elbo compress runs/mnist mnist --out test.elbo --json")]
pub struct Compress {
    #[command(flatten)]
    model: ModelArgs,
    /// The images: whatever `elbo train --data` reads, of the model's size, or several pictures
    #[arg(value_name = "MNIST|PATH", required = true)]
    data: Vec<String>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Which images, if the data have parts
    #[arg(long, value_enum, default_value_t)]
    split: SplitName,
    /// Keep the labels, too
    #[arg(long)]
    labels: bool,
    /// Make the model a part of the file, so that it is decoded without anything else
    #[arg(long)]
    embed_model: bool,
    /// Do not decode the stream again before it is written
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    codec: CodecConfig,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// The name of a picture that is restored, as a PNG file.
pub fn restored_name(name: &str) -> PathBuf {
    let is_png = name.to_lowercase().ends_with(".png");
    PathBuf::from(if is_png { name.to_owned() } else { format!("{name}.png") })
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Printed {
    images: usize,
    dimensions: usize,
    bytes: u64,
    model_bytes: usize,
    /// In bits per dimension: without the bits that were there before the first images, with everything but the model, with the
    /// model, and the ELBO of the same draws.
    net: f64,
    gross: f64,
    with_model: f64,
    elbo: f64,
    initial_bits: f64,
    verified: bool,
    images_per_second: f64,
}

impl Compress {
    pub fn run(self) -> Result<ExitCode, Error> {
        // The work is long: that its result can be written is checked before it.
        let folder = folder_of(&self.out);
        fs::metadata(folder).map_err(Error::io("write to the folder", folder))?;
        let path = self.model.path();
        let file = fs::read(&path).map_err(Error::io("read the model", &path))?;
        let (model, parameters) = Model::read(&path, &file)?;
        let codec = Codec::new(ExactModel::new(&model, &parameters)?, self.codec)?;
        let Loaded { dataset, names, .. } = self.load()?;
        let split = self.split.of_images(&dataset)?;
        let levels = codec.levels_of(&split.images)?;
        let count = split.images.count();
        let start = Instant::now();
        let bar = image_bar("compressing", count);
        let (chunks, rate) = compress::encode(&codec, &levels, &|done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        let header = self.header(&codec, split, names)?;
        let mut stream = Vec::new();
        compress::write(&mut stream, &header, self.embed_model.then_some(file.as_slice()), &chunks)
            .map_err(Error::io("write", &self.out))?;
        if !self.no_verify {
            self.verify(&codec, &stream, &levels, count)?;
        }
        write_atomically(&self.out, |out| out.write_all(&stream))?;
        self.print(&codec, count, file.len(), stream.len(), rate, count as f64 / seconds)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Reads the images as they are: what the run did to its own data would be a loss here.
    fn load(&self) -> Result<Loaded, Error> {
        let config = self.model.config()?.data;
        let config = DataConfig { size: None, fit: Fit::default(), grey: false, skip_bad: false, ..config };
        let loaded = with_progress(|progress| Loaded::others(&self.data, &config, progress))?;
        loaded.notes.iter().for_each(|note| notify(note));
        let found = format!("{} others, whose pixels would change", loaded.inexact);
        require("DATA", loaded.inexact == 0, "pictures without transparent pixels, of 8 bits for each value", found)?;
        Ok(loaded)
    }

    fn header(&self, codec: &Codec, split: &Split, names: Vec<String>) -> Result<Header, Error> {
        // A path from the root is not kept: pictures are restored below a folder.
        let below = |name: String| match Path::new(&name) {
            path if path.is_absolute() => {
                path.file_name().map_or(name.clone(), |name| name.to_string_lossy().into_owned())
            }
            _ => name,
        };
        let names: Vec<String> = names.into_iter().map(below).collect();
        let mut restored = BTreeSet::new();
        let twice = names.iter().find(|name| !restored.insert(restored_name(name)));
        let found = twice.map_or("", String::as_str);
        require("DATA", twice.is_none(), "pictures that are restored under different names", found)?;
        Ok(Header {
            model: codec.model().hash().to_owned(),
            images: split.images.count(),
            image: codec.model().image(),
            codec: self.codec,
            names: (names.len() == split.images.count()).then_some(names),
            labels: if self.labels { split.labels.clone() } else { None },
        })
    }

    fn verify(&self, codec: &Codec, stream: &[u8], levels: &[u8], count: usize) -> Result<(), Error> {
        let bar = image_bar("verifying", count);
        let decoded = Stream::read(&self.out, stream)?.decode(codec, &|done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let found = decoded.fault.unwrap_or_else(|| "others".to_owned());
        require("--no-verify", decoded.levels == levels, "a stream that decodes to the same images", found)
    }

    fn print(
        &self,
        codec: &Codec,
        images: usize,
        model_bytes: usize,
        bytes: usize,
        rate: Rate,
        images_per_second: f64,
    ) -> Result<(), Error> {
        let dimensions = codec.model().image().dimensions();
        let of = |bits: f64| bits / (images * dimensions) as f64;
        let embedded = if self.embed_model { model_bytes } else { 0 };
        let without_model = (bytes - embedded) as f64;
        let printed = Printed {
            images,
            dimensions,
            bytes: bytes as u64,
            model_bytes,
            net: of(rate.bits - rate.initial_bits),
            gross: of(8.0 * without_model),
            with_model: of(8.0 * (without_model + model_bytes as f64)),
            elbo: of(rate.elbo_bits),
            initial_bits: rate.initial_bits,
            verified: !self.no_verify,
            images_per_second,
        };
        if self.json {
            return say_json(&printed);
        }
        let Printed { net, gross, with_model, elbo, .. } = printed;
        say(format_args!("{}: {images} images of {dimensions} values, {bytes} bytes", self.out.display()))?;
        say("bits/dim:")?;
        say(format_args!("  net        {net:9.4}   without the bits that the first image of each chunk needs"))?;
        say(format_args!("  elbo       {elbo:9.4}   of the same draws: net is {:+.2}%", 100.0 * (net / elbo - 1.0)))?;
        say(format_args!("  gross      {gross:9.4}   the file without the model"))?;
        say(format_args!("  with model {with_model:9.4}   {model_bytes} bytes more"))?;
        let verified = if self.no_verify { "not verified" } else { "decoded again, to the same images" };
        say(format_args!("{verified}; {images_per_second:.0} images/s"))
    }
}
