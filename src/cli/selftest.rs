//! `elbo selftest`.

use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::selftest::{self, Outcome};

use super::{GpuArgs, say};

/// Check every kernel on this adapter against a reference on the CPU
///
/// Where several kernels make the same product, all of them are checked, also those that are not chosen.
///
/// Prints the worst error of each, beside what rounding and the graphics API's own limits allow. Exits with 1 if one of
/// them is wrong: then this driver must not be trusted.
#[derive(Args)]
pub struct Selftest {}

impl Selftest {
    pub fn run(self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        let opened = gpu.open()?;
        say(format_args!("adapter: {}", opened.adapter()))?;
        let mut worst: Vec<Outcome> = Vec::new();
        let mut passed = true;
        for family in opened.kernel_families() {
            let kernels = KernelRequest::Only(*family);
            let device = Gpu::open(&AdapterRequest { kernels, ..gpu.request() })?;
            passed &= selftest::run(&device, |outcome| keep_worst(&mut worst, outcome))?;
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
    format!("{:>9.1e} {:>9.1e}   {kernel} {output}{verdict}", worst.error, worst.tolerance)
}
