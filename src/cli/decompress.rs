//! `elbo decompress`.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::compress::{Codec, Decoded, Header, Stream};
use elbo::files::npy;
use elbo::image::write_picture;
use elbo::vae::{ExactModel, Model};

use super::compress::restored_name;
use super::input::image_bar;
use super::{ModelArgs, say, warn};

/// Restore the images that `elbo compress` compressed, bit for bit
///
/// A damaged or foreign stream is refused, with the place of the damage.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo decompress pictures.elbo --model runs/1 --out restored
  elbo decompress test.elbo --model runs/mnist --out test.npz")]
pub struct Decompress {
    /// The stream
    #[arg(value_name = "FILE")]
    stream: PathBuf,
    /// The run, or the .safetensors file, that it was written with [default: the model in the stream]
    #[arg(long, value_name = "RUN")]
    model: Option<PathBuf>,
    /// What to write: a folder of PNG files under the names of the pictures; u8 (N, height, width), or with channels, if it ends in .npy; the
    /// same with the labels if it ends in .npz
    #[arg(long, value_name = "DIR|NPY|NPZ")]
    out: PathBuf,
    /// Of a damaged stream, restore the images before the damage
    #[arg(long)]
    partial: bool,
}

impl Decompress {
    pub fn run(self) -> Result<ExitCode, Error> {
        let bytes = fs::read(&self.stream).map_err(Error::io("read", &self.stream))?;
        let stream = Stream::read(&self.stream, &bytes)?;
        let codec = self.codec(&stream)?;
        let header = &stream.header;
        let bar = image_bar("decompressing", header.images);
        let decoded = stream.decode(&codec, &|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        let Decoded { levels, fault } = decoded?;
        let count = levels.len() / header.image.dimensions();
        if let Some(fault) = &fault {
            if !self.partial || count == 0 {
                let expected = "a whole stream (--partial restores the images before the damage)".to_owned();
                let found = format!("{count} of {} images: {fault}", header.images);
                return Err(Error::Format { path: self.stream.clone(), expected, found });
            }
            warn(format_args!("note: {count} of {} images are whole: {fault}", header.images));
        }
        let highest = codec.model().levels.count() - 1;
        let pixels: Vec<u8> = levels.iter().map(|level| (usize::from(*level) * 255 / highest) as u8).collect();
        self.write(header, count, &pixels)?;
        say(format_args!("{count} images: {}", self.out.display()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn codec(&self, stream: &Stream<'_>) -> Result<Codec, Error> {
        let of = |path: &Path, file: &[u8]| {
            let (model, parameters) = Model::read(path, file)?;
            Codec::new(ExactModel::new(&model, &parameters)?, stream.header.codec)
        };
        match (&self.model, stream.model) {
            (Some(run), _) => {
                let path = ModelArgs { run: run.clone() }.path();
                of(&path, &fs::read(&path).map_err(Error::io("read the model", &path))?)
            }
            (None, Some(file)) => of(&self.stream, file),
            (None, None) => Err(Error::Config {
                option: "--model",
                expected: format!(
                    "the run of the model of hash {}, which the stream was written with",
                    stream.header.model
                ),
                found: "none, and the stream has no model in it".to_owned(),
            }),
        }
    }

    fn write(&self, header: &Header, count: usize, pixels: &[u8]) -> Result<(), Error> {
        let image = header.image;
        let shape = [vec![count], image.sizes()].concat();
        let ending = self.out.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        match ending.as_deref() {
            Some("npy") => return npy::write_u8(&self.out, pixels, &shape),
            Some("npz") => {
                let mut arrays = vec![("images", pixels, shape)];
                if let Some(labels) = &header.labels {
                    arrays.push(("labels", &labels[..count], vec![count]));
                }
                return npy::write_archive(&self.out, &arrays);
            }
            _ => {}
        }
        for (index, picture) in pixels.chunks_exact(image.dimensions()).enumerate() {
            let path = self.out.join(self.name(header, index)?);
            let folder = path.parent().unwrap_or(&self.out);
            fs::create_dir_all(folder).map_err(Error::io("create the directory", folder))?;
            write_picture(&path, picture, image)?;
        }
        Ok(())
    }

    /// The name of a picture, as a PNG. A name that leads out of the folder is refused.
    fn name(&self, header: &Header, index: usize) -> Result<PathBuf, Error> {
        let Some(name) = header.names.as_ref().map(|names| &names[index]) else {
            return Ok(PathBuf::from(format!("{index:05}.png")));
        };
        if Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) && !name.is_empty() {
            return Ok(restored_name(name));
        }
        let found = name.clone();
        Err(Error::Format { path: self.stream.clone(), expected: "names of pictures below a folder".to_owned(), found })
    }
}
