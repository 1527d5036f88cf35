//! `elbo export`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use elbo::files::write_atomically;
use elbo::vae::Model;
use elbo::{Error, export};

use super::{ModelArgs, say};

/// Write a model in the formats of other programs: ONNX, and a module of PyTorch
///
/// Arrays of images have the shape that `elbo decode` writes: (N, height, width), or (N, height, width, channels) in colour. Models of text
/// are written as PyTorch alone. It needs no GPU. docs/python.md shows how the files are used.
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo export runs/1 --onnx onnx              onnx/encoder.onnx and onnx/decoder.onnx
  elbo export runs/1 --pytorch model.py       a module that loads runs/1/model.safetensors
  elbo import trained.safetensors --like runs/1 --out runs/from-pytorch")]
#[group(id = "format", required = true, multiple = true, args = ["onnx", "pytorch"])]
pub struct Export {
    #[command(flatten)]
    model: ModelArgs,
    /// A directory for encoder.onnx, from images to the posterior, and decoder.onnx, from latents to the likelihood's mean
    #[arg(long, value_name = "DIR")]
    onnx: Option<PathBuf>,
    /// A Python file for a module of the same networks, with the ELBO, which reads the model's safetensors file
    #[arg(long, value_name = "FILE.py")]
    pytorch: Option<PathBuf>,
}

impl Export {
    pub fn run(self) -> Result<ExitCode, Error> {
        let path = self.model.path();
        let bytes = fs::read(&path).map_err(Error::io("read the model", &path))?;
        let (model, parameters) = Model::read(&path, &bytes)?;
        if let Some(directory) = &self.onnx {
            let files = export::onnx(&model, &parameters)?;
            fs::create_dir_all(directory).map_err(Error::io("create the directory", directory))?;
            for (name, bytes) in &files {
                write_atomically(&directory.join(name), |file| file.write_all(bytes))?;
            }
            say(format_args!("encoder.onnx, decoder.onnx: {}", directory.display()))?;
        }
        if let Some(file) = &self.pytorch {
            let text = export::pytorch(&model)?;
            write_atomically(file, |file| file.write_all(text.as_bytes()))?;
            say(format_args!("a module of PyTorch, for {}: {}", path.display(), file.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
