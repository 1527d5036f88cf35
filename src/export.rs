//! Models in the formats of other programs: ONNX, and a module of PyTorch.
//!
//! A model describes itself as a [`Graph`](crate::graph::Graph), from which both are written. `docs/python.md` shows how they are used.

mod onnx;
mod pytorch;

pub use onnx::onnx;
pub use pytorch::pytorch;

use crate::Error;
use crate::vae::Model;

/// Fails if the model is one of text, which no format here has.
fn require_images(operation: &'static str, model: &Model) -> Result<(), Error> {
    model.image().map(|_| ()).map_err(|_| Error::Argument {
        operation,
        expected: "a model of images or vectors".to_owned(),
        found: "a model of text, whose layers over sentences are not written yet (its model.safetensors can be read)"
            .to_owned(),
    })
}
