//! The self-test of `shaders/eval/latents.wgsl`.

use crate::Error;
use crate::eval;
use crate::gpu::Tensor;
use crate::selftest::bench::{Bench, Output, SAMPLES, poisoned};
use crate::selftest::tolerance::{self, DIVISION};
use crate::selftest::{Checks, Matrix, Sizes};

pub(super) const CHECKS: Checks = &[("eval/latents.wgsl:sum", check_sum)];

/// The sums of a step in the middle of the table.
fn check_sum(bench: &mut Bench<'_>) -> Result<(), Error> {
    const STEPS: usize = 3;
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    bench.samples = 1;
    let posterior = bench.input(2 * latents, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)?;
    bench.samples = SAMPLES;
    let kl = bench.input(latents, |draw, _| 2.0 + draw)?;
    let sums = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 3 * STEPS, latents)?)?;
    let dispatch = eval::sum_latents(bench.at(), &posterior.tensor, &kl.tensor, &sums)?;
    let total = |matrix: &Matrix, part: &dyn Fn(f64) -> f64, l: usize| -> f64 {
        (0..matrix.rows()).map(|r| part(matrix.at(r, l))).sum()
    };
    let of_parts = |of: [&dyn Fn(usize) -> f64; 3]| Matrix::from_fn(3, latents, |part, l| of[part](l));
    let values = of_parts([
        &|l| total(&kl.values, &|kl| kl, l) / SAMPLES as f64,
        &|l| total(&posterior.values, &|mean| mean, l),
        &|l| total(&posterior.values, &|mean| mean * mean, l),
    ]);
    let errors = of_parts([
        &|l| (tolerance::sum(rows * SAMPLES, 1.0) + DIVISION) * total(&kl.values, &f64::abs, l) / SAMPLES as f64,
        &|l| tolerance::sum(rows, total(&posterior.values, &f64::abs, l)),
        &|l| tolerance::sum(rows + 1, total(&posterior.values, &|mean| mean * mean, l)),
    ]);
    let first = 3 * bench.step.row as usize;
    bench.check(dispatch, [Output::rows_from("sums", &sums, first, &values, &errors)])
}
