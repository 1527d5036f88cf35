//! The self-test: every kernel, on the user's own adapter, against an f64 reference on the CPU.
//!
//! It goes through the same functions as training does, so what is tested is what is used. Inputs are pseudo-random and
//! always the same. A kernel is right if each word of each output is: values within what Vulkan and WGSL allow a driver
//! to be off, padding exactly zero, and rows past the end of a short batch exactly as they were. Drivers differ in what they
//! do with NaN: that a broken model's NaN is not lost is checked by itself.

mod bench;
mod compare;
mod kernels;
pub mod reference;
mod tolerance;

use std::fmt;

pub use bench::UNTOUCHED;
pub use compare::Worst;

use crate::Error;
use crate::gpu::Gpu;
use bench::Bench;

/// The sizes of one check; a kernel takes those that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows that the tensors hold, B.
    pub batch: usize,
    /// Examples in the step, from 1 to `batch`: the last batch of an epoch may be short.
    pub rows: usize,
    /// The step's first position in the epoch's order.
    pub first: usize,
    /// Columns of the matrices: inputs of a dense layer, D, H or L.
    pub columns: usize,
    /// Outputs of a dense layer.
    pub outputs: usize,
}

impl Sizes {
    /// A full batch at the start of an epoch.
    pub const fn new(batch: usize, columns: usize, outputs: usize) -> Sizes {
        Sizes { batch, rows: batch, first: 0, columns, outputs }
    }

    /// The same with a short batch from a position within the epoch.
    pub const fn short(self, rows: usize, first: usize) -> Sizes {
        Sizes { rows, first, ..self }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sizes { batch, rows, first, columns, outputs } = self;
        write!(f, "{rows} of {batch} rows from {first}, {columns} x {outputs}")
    }
}

/// What came of one output of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The kernel, as `file:entry point`.
    pub kernel: String,
    /// The output, as the WGSL calls it.
    pub output: &'static str,
    /// The variant, if there are any, and the sizes.
    pub case: String,
    /// The element that fits worst.
    pub worst: Worst,
}

impl Outcome {
    /// Whether the adapter computed it right.
    pub fn passed(&self) -> bool {
        self.worst.passed()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { kernel, output, case, worst } = self;
        let Worst { error, tolerance, index: [row, column], found, expected } = worst;
        let verdict = if self.passed() { "ok" } else { "WRONG" };
        write!(f, "{verdict} {kernel} {output} ({case}): worst at [{row}, {column}], found {found:e}, ")?;
        write!(f, "expected {expected:e}, error {error:.1e} of {tolerance:.1e} allowed")
    }
}

/// The kernels whose name contains a text, which may be empty, at certain sizes.
pub type Case<'a> = (&'a str, Sizes);

/// In place of a kernel's name in a [`Case`]: what kernels do with NaN.
pub const NAN: &str = "NaN";

/// What [`run`] checks. Each number of columns or outputs is a set of kernels to compile, which is what takes the time;
/// other batches are nearly free.
pub const CASES: [Case<'static>; 5] = [
    ("", Sizes::new(37, 61, 43)),
    ("", Sizes::new(37, 61, 43).short(29, 74)),
    ("", Sizes::new(1, 61, 43)),
    ("nn/dense:forward", Sizes::new(128, 784, 400)),
    (NAN, Sizes::new(3, 61, 43)),
];

/// What may spoil an output, padding included, before it is compared: for tests of the tests.
pub type Tamper<'a> = &'a dyn Fn(&mut [f64]);

/// Checks every kernel, reports each outcome as it becomes known, and returns whether all were right.
///
/// # Errors
///
/// [`Error::Shader`] if the driver refuses a kernel; [`Error::Gpu`] if the device was lost.
pub fn run(gpu: &Gpu, on_outcome: impl FnMut(&Outcome)) -> Result<bool, Error> {
    run_cases(gpu, &CASES, &|_| (), on_outcome)
}

/// [`run`] for other cases, and with something that may spoil the outputs.
///
/// # Errors
///
/// As [`run`].
pub fn run_cases(
    gpu: &Gpu,
    cases: &[Case<'_>],
    tamper: Tamper<'_>,
    mut on_outcome: impl FnMut(&Outcome),
) -> Result<bool, Error> {
    let mut passed = true;
    for (text, sizes) in cases {
        let checks = if *text == NAN { kernels::nan::CHECKS } else { kernels::KERNELS };
        for (_, check) in checks.iter().filter(|(name, _)| *text == NAN || name.contains(text)) {
            let mut bench = Bench::new(gpu, *sizes, tamper, &mut on_outcome)?;
            check(&mut bench)?;
            passed &= bench.passed();
        }
    }
    Ok(passed)
}
