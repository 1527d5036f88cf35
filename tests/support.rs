//! The code that the tests share: one device for the whole binary. No adapter is a failure, not a skip.

pub mod differences;
pub mod finished;
pub mod program;
pub mod sources;
pub mod synthetic;
pub mod tools;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use elbo::gpu::{AdapterRequest, Gpu};

/// The test that may use a GL device has this lock.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static TAKEN: MutexGuard<'static, ()> = TURN.lock().unwrap_or_else(PoisonError::into_inner);
}

/// The device that all tests use.
///
/// A GL context serves one thread at a time, and wgpu panics when one has waited for it for some seconds: on GL the tests
/// take turns, each as long as its thread lives.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    let gpu = GPU.get_or_init(|| {
        Gpu::open(&AdapterRequest::default()).unwrap_or_else(|error| panic!("the tests need an adapter: {error}"))
    });
    if gpu.adapter().backend == "gl" {
        TAKEN.with(|_| ());
    }
    gpu
}

/// Says that a check was not made and why, on the real standard error: a passing test hides the output of `eprintln`.
pub fn report_ignored(test: &str, why: &str) {
    let line = format!("test {test} could not be made: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
