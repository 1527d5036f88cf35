//! Posteriors q(z|x): what the encoder describes.

pub mod normal;
