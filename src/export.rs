//! Models in the formats of other programs: ONNX, and a module of PyTorch.
//!
//! A model describes itself as a [`Graph`](crate::graph::Graph), from which both are written. `docs/python.md` shows how they are used.

mod onnx;
mod pytorch;

pub use onnx::onnx;
pub use pytorch::pytorch;
