//! The self-test: every kernel, on the user's own adapter, against an f64 reference on the CPU.
//!
//! It uses the same functions as training, so it tests the kernels that training uses. Inputs are pseudo-random and
//! always the same. A kernel is right if each word of each output is right: values within the errors that Vulkan and
//! WGSL allow, padding exactly zero, and rows past the end of a short batch unchanged. Drivers differ in their
//! treatment of NaN, so separate checks make sure that the NaN of a broken model is not lost.
//!
//! The files mirror those of `shaders/`: each contains the shader's formula in f64, as short as possible, and the
//! checks of the kernel against it. The formulae are those of the head comments in `shaders/`; nothing here is shared
//! with the WGSL. Matrices have the rows of the batch and no padding; a vector with one element for each example is a
//! matrix of one row.

mod bench;
mod compare;
mod data;
mod eval;
mod gpu;
pub mod likelihood;
mod logvar_range;
mod matrix;
mod nan;
pub mod nn;
pub mod noise;
pub mod objective;
pub mod optim;
pub mod posterior;
pub mod prior;
mod step;
mod tolerance;

use std::fmt;

pub use bench::UNTOUCHED;
pub use compare::Worst;
pub use matrix::Matrix;

use crate::Error;
use crate::gpu::Gpu;
use bench::Bench;

/// The sizes of one check. A kernel uses those that apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the tensors, B.
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

/// The result of the check of one output of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The kernel, as `file:entry point`.
    pub kernel: String,
    /// The output, as the WGSL calls it.
    pub output: &'static str,
    /// The variant, if there are any, and the sizes.
    pub case: String,
    /// The element with the largest error relative to its tolerance.
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

/// In place of a kernel's name in a [`Case`]: the checks of NaN. The names of these checks start with it.
pub const NAN: &str = "NaN";

/// The cases of [`run`]. Each number of columns or outputs needs a set of kernels to be compiled, which takes most of
/// the time. Other batches cost little.
pub const CASES: [Case<'static>; 5] = [
    ("", Sizes::new(37, 61, 43)),
    ("", Sizes::new(37, 61, 43).short(29, 74)),
    ("", Sizes::new(1, 61, 43)),
    ("nn/dense:forward", Sizes::new(128, 784, 400)),
    (NAN, Sizes::new(3, 61, 43)),
];

/// The cases of products with further kernels, and of an epilogue that sums rows.
pub const PRODUCTS: [Case<'static>; 6] = [
    ("nn/dense", Sizes::new(37, 61, 43)),
    ("nn/dense", Sizes::new(37, 61, 43).short(29, 74)),
    ("likelihood/bernoulli", Sizes::new(37, 61, 43).short(29, 74)),
    ("nn/dense", Sizes::new(131, 523, 17).short(127, 1009)),
    ("likelihood/bernoulli", Sizes::new(131, 523, 17).short(127, 1009)),
    ("nn/dense:forward", Sizes::new(128, 784, 400)),
];

/// Puts a kernel on the bench and reports the outcome.
type Check = fn(&mut Bench<'_>) -> Result<(), Error>;

/// The checks of a file by name: a kernel's entry point, or a part that fills a slot, or, after [`NAN`], the place of a
/// NaN.
type Checks = &'static [(&'static str, Check)];

/// The checks of every entry point of every WGSL file, of every part, and of NaN.
const AREAS: [&[Checks]; 10] = [
    data::CHECKS,
    nn::CHECKS,
    posterior::CHECKS,
    objective::CHECKS,
    prior::CHECKS,
    likelihood::CHECKS,
    eval::CHECKS,
    optim::CHECKS,
    step::CHECKS,
    gpu::CHECKS,
];

/// The checks that a case's text selects.
fn selected(text: &str) -> impl Iterator<Item = Check> {
    let checks = AREAS.into_iter().flatten().copied().flatten();
    let wanted = move |name: &str| name.starts_with(NAN) == (text == NAN) && name.contains(text);
    checks.filter(move |(name, _)| wanted(name)).map(|(_, check)| *check)
}

/// May change an output, padding included, before it is compared: for negative controls.
pub type Tamper<'a> = &'a dyn Fn(&mut [f64]);

/// Checks every kernel, reports each outcome as it becomes known, and returns whether all were right.
///
/// # Errors
///
/// [`Error::Shader`] if the driver refuses a kernel; [`Error::Gpu`] if the device was lost.
pub fn run(gpu: &Gpu, on_outcome: impl FnMut(&Outcome)) -> Result<bool, Error> {
    run_cases(gpu, &CASES, &|_| (), on_outcome)
}

/// [`run`] for other cases, and with a function that may change the outputs.
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
        for check in selected(text) {
            let mut bench = Bench::new(gpu, *sizes, tamper, &mut on_outcome)?;
            check(&mut bench)?;
            passed &= bench.passed();
        }
    }
    Ok(passed)
}
