//! The self-test of `shaders/step/metrics.wgsl`, which ends a step.

use crate::Error;
use crate::selftest::bench::{Bench, Output, UNTOUCHED, poisoned};
use crate::selftest::objective::{Loss, objectives};
use crate::selftest::{Checks, Matrix, Sizes, tolerance};
use crate::step::metrics;
use crate::step::{At, Pass, Step};

pub(super) const CHECKS: Checks = &[("step/metrics.wgsl:finish", check_finish)];

/// A step in the middle of the table, and the last one, which stays; for every objective.
fn check_finish(bench: &mut Bench<'_>) -> Result<(), Error> {
    const STEPS: usize = 3;
    const SAMPLES: usize = 2;
    let Sizes { batch, rows, columns, outputs, .. } = bench.sizes;
    bench.samples = SAMPLES;
    for (objective, row) in objectives(bench, SAMPLES)?.iter().zip([1, STEPS - 1, 0, STEPS - 1]) {
        let table: [Step; STEPS] = std::array::from_fn(|row| Step { row: row as u32, ..bench.step });
        let words = |row: usize| bytemuck::cast_slice::<Step, u32>(&table[row..=row]);
        let pass = Pass::new(bench.gpu, STEPS * batch, batch)?;
        pass.steps.write(bench.gpu, bytemuck::cast_slice::<Step, u32>(&table))?;
        table[row].write_to(bench.gpu, &pass.step)?;
        poisoned(bench.gpu, pass.metrics.clone())?;
        let log_prob = bench.input(columns, |draw, _| 100.0 * draw)?;
        let kl = bench.input(outputs, |draw, _| 10.0 + draw)?;
        let at = At { step: &pass.step, ..bench.at() };
        let dispatch = metrics::finish(at, &pass, &objective.part, &log_prob.tensor, &kl.tensor)?;

        let sum = |terms: &Matrix| terms.values().iter().sum::<f64>() / SAMPLES as f64;
        let [mut sums, mut magnitudes] = [[0.0; 3]; 2];
        for (column, terms) in [&log_prob, &kl].into_iter().enumerate() {
            (sums[column], magnitudes[column]) = (sum(&terms.values), sum(&terms.values.abs()));
        }
        let kl_weight = bench.kl_weight();
        (sums[2], magnitudes[2]) = match objective.loss {
            Loss::Elbo => (kl_weight * sums[1] - sums[0], kl_weight * magnitudes[1] + magnitudes[0]),
            Loss::Penalised(penalty) => (penalty - sums[0], penalty + magnitudes[0]),
            Loss::Stored(loss) => (loss, loss),
        };
        let values = Matrix::from_fn(STEPS, 4, |r, c| match (r == row, c) {
            (true, 0..=2) => sums[c],
            _ => f64::from(UNTOUCHED),
        });
        let errors = Matrix::from_fn(STEPS, 4, |r, c| match (r == row, c) {
            (true, 0..=2) => tolerance::sum(SAMPLES * rows * columns.max(outputs) + 3, magnitudes[c]),
            _ => 0.0,
        });
        let outputs = [
            Output::matrix("metrics", &pass.metrics, &values, &errors),
            Output::words("step", &pass.step, words((row + 1).min(STEPS - 1))),
        ];
        bench.check_variant(objective.name, dispatch, outputs)?;
    }
    Ok(())
}
