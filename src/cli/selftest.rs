//! `elbo selftest`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::nn::Variant;
use elbo::selftest::{self, Outcome};

use super::{GpuArgs, say, warn};

/// Check every kernel on this adapter against a reference on the CPU
///
/// If several kernels compute the same product, all of them are checked, including those that were not chosen.
///
/// Prints the largest error of each, and the error that rounding and the graphics API's limits allow. Exits with 1 if
/// one of them is wrong: then do not trust this driver.
#[derive(Args)]
pub struct Selftest {}

impl Selftest {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let opened = gpu.open()?;
        say(format_args!("adapter: {}", opened.adapter()))?;
        let mut worst: Vec<Outcome> = Vec::new();
        let mut passed = true;
        let variants: Vec<_> = match gpu.kernels {
            Some(variant) => vec![variant],
            None => Variant::of(&opened),
        };
        for (index, variant) in variants.into_iter().enumerate() {
            let kernels = KernelRequest::Only(variant.name());
            let device = Gpu::open(&AdapterRequest { kernels, ..gpu.request() })?;
            let cases = if index == 0 { &selftest::CASES[..] } else { &selftest::PRODUCTS };
            passed &= selftest::run_cases(&device, cases, &|_| (), |outcome| keep_worst(&mut worst, outcome))?;
        }
        say("    error   allowed   kernel and output")?;
        for outcome in &worst {
            say(row(outcome))?;
        }
        if passed {
            say(format_args!("all {} outputs are right", worst.len()))?;
            return Ok(ExitCode::SUCCESS);
        }
        for outcome in worst.iter().filter(|outcome| !outcome.passed()) {
            warn(outcome);
        }
        warn("error: this adapter computes wrong results: try --backend, a newer driver, or --shader-checks");
        Ok(ExitCode::FAILURE)
    }
}

/// For each output, keeps the case whose error is the largest relative to its tolerance.
fn keep_worst(worst: &mut Vec<Outcome>, outcome: &Outcome) {
    let same = |other: &&mut Outcome| (&other.kernel, other.output) == (&outcome.kernel, outcome.output);
    match worst.iter_mut().find(same) {
        Some(kept) if outcome.worst.share() > kept.worst.share() => *kept = outcome.clone(),
        Some(_) => {}
        None => worst.push(outcome.clone()),
    }
}

fn row(outcome: &Outcome) -> String {
    let Outcome { kernel, output, worst, .. } = outcome;
    let verdict = if outcome.passed() { "" } else { "  WRONG" };
    format!("{:>9.1e} {:>9.1e}   {kernel} {output}{verdict}", worst.error, worst.tolerance)
}
