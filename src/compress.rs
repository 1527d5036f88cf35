//! Lossless compression: bits back with an ANS coder.
//!
//! A latent variable model has no probability of an image that a coder could use, but it has those of an image and a latent z
//! together. So a coder takes z from its own stack with q(z|x), which gives `-log2 q(z|x)` bits back, and puts x with p(x|z) and z with
//! p(z) onto it: in all, an image takes its ELBO. Only the first image of a chunk needs bits that were not there before.
//!
//! Latents are in 2^bins bins of equal mass under the prior, or under one component of it, which is a latent, too. The coder sees
//! whole numbers only. They come from a network on the CPU ([`crate::vae::ExactModel`]) and functions that are the same on every machine,
//! so that every machine reads what any machine wrote.
//!
//! # Source
//!
//! Townsend et al. 2019, "Practical lossless compression with latent variables using bits back coding".

mod chunk;
mod coder;
mod stream;
mod tables;

pub use chunk::{Codec, Rate};
pub use stream::{Decoded, Header, Stream, encode, write};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;

/// The default bins: fewer cost more than the ELBO, and more leave less of a posterior's parts to each (`benches/reproduce.md`).
const BINS: u32 = 10;

/// The default images of a chunk: its own first image costs them less than a thousandth.
const CHUNK: u32 = 4096;

/// The precisions of a stream, and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct CodecConfig {
    /// Bins of each latent, as a power of two
    #[arg(long, value_name = "BITS", default_value_t = BINS)]
    pub bins: u32,
    /// Bits of the probabilities of pixels
    #[arg(long, value_name = "BITS", default_value_t = coder::PRECISION)]
    pub precision: u32,
    /// Images of a chunk, which is decoded by itself; each chunk has its own first image
    #[arg(long, value_name = "N", default_value_t = CHUNK)]
    pub chunk: u32,
}

impl Default for CodecConfig {
    fn default() -> CodecConfig {
        CodecConfig { bins: BINS, precision: coder::PRECISION, chunk: CHUNK }
    }
}

impl CodecConfig {
    /// Checks the values, for a likelihood with the given number of levels.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self, levels: usize) -> Result<(), Error> {
        require("--bins", (1..=16).contains(&self.bins), "a number from 1 to 16", self.bins)?;
        // Each level has at least one part, and most parts are left to share out.
        let least = levels.next_power_of_two().ilog2() + 2;
        let fits = (least..=coder::PRECISION).contains(&self.precision);
        require("--precision", fits, &format!("a number from {least} to {}", coder::PRECISION), self.precision)?;
        require("--chunk", (1..=1 << 20).contains(&self.chunk), "a number from 1 to 1048576", self.chunk)
    }
}
