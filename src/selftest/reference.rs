//! What the kernels compute, in f64 and by the shortest formula: the reference that every adapter is held against.
//!
//! The formulae are those of the head comments in `shaders/`; nothing here is shared with the WGSL. Matrices hold the
//! rows of the batch and no padding; a vector with one element an example is a matrix of one row.

pub mod activation;
mod adam;
pub mod dense;
pub mod latents;
pub mod likelihood;
mod matrix;
pub mod mixture;
pub mod noise;
pub mod normalise;
pub mod objective;

pub use adam::AdamState;
pub use matrix::Matrix;
