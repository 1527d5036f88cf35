//! Elbo.
#![deny(missing_docs, unsafe_code)]
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod error;
pub mod eval;
pub mod files;
pub mod gpu;
pub mod image;
pub mod likelihood;
pub mod metrics;
pub mod nn;
pub mod noise;
pub mod optim;
pub mod posterior;
pub mod prior;
pub mod run;
pub mod steps;
pub mod train;
pub mod vae;
pub use error::Error;
