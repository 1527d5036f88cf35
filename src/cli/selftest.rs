//! `elbo selftest`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::selftest::{self, Outcome};

use super::{GpuArgs, say};

/// Check every kernel on this adapter against a reference on the CPU
///
/// Prints the worst error of each, beside what rounding and the graphics API's own limits allow. Exits with 1 if one of
/// them is wrong: then this driver must not be trusted.
#[derive(Args)]
pub struct Selftest {}

impl Selftest {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let gpu = gpu.open()?;
        say(format_args!("adapter: {}", gpu.adapter()))?;
        let mut worst: Vec<Outcome> = Vec::new();
        let passed = selftest::run(&gpu, |outcome| keep_worst(&mut worst, outcome))?;
        say(format_args!("{:<62} {:>9} {:>9}", "kernel and output", "error", "allowed"))?;
        for outcome in &worst {
            say(row(outcome))?;
        }
        if passed {
            say(format_args!("all {} outputs are right", worst.len()))?;
            return Ok(ExitCode::SUCCESS);
        }
        for outcome in worst.iter().filter(|outcome| !outcome.passed()) {
            eprintln!("{outcome}");
        }
        eprintln!("error: this adapter computes wrong results: try --backend, a newer driver, or --shader-checks");
        Ok(ExitCode::FAILURE)
    }
}

/// Keeps, of the cases of each output, the one that comes closest to what is allowed or exceeds it most.
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
    format!("{:<62} {:>9.1e} {:>9.1e}{verdict}", format!("{kernel} {output}"), worst.error, worst.tolerance)
}
