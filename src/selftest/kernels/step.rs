//! The checks of the kernels that begin and end a step, `shaders/data/batch.wgsl` and `shaders/metrics.wgsl`, and of the one
//! that does nothing but arithmetic, `shaders/peak.wgsl`.

use super::objective::{Loss, objectives};
use crate::Error;
use crate::data::batch::DeviceImages;
use crate::data::{Images, order};
use crate::gpu::Tensor;
use crate::metrics;
use crate::peak;
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Output, UNTOUCHED, poisoned};
use crate::selftest::reference::Matrix;
use crate::selftest::tolerance::{self, DIVISION};
use crate::steps::{Pass, Step};

pub fn gather(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, first, columns, .. } = bench.sizes;
    let count = first + batch;
    let bytes = (0..count * columns).map(|_| (128.0 * (1.0 + bench.draw())) as u8).collect();
    let images = Images::new(bytes, count, 1, columns)?;
    let order = order::shuffled(count, 0, 1);
    let order_tensor = Tensor::from_values(bench.gpu, 1, count, &order)?;
    let x = bench.output(columns)?;
    let device_images = DeviceImages::upload(bench.gpu, &images)?;
    let dispatch = device_images.gather(bench.gpu, &bench.step_tensor, &order_tensor, &x)?;
    let pixel = |b: usize, d: usize| images.bytes()[order[first + b] as usize * columns + d];
    let values = Matrix::from_fn(rows, columns, |b, d| f64::from(pixel(b, d)) / 255.0);
    let errors = values.map(|value| DIVISION * value);
    bench.check(dispatch, [Output::matrix("x", &x, &values, &errors)])
}

/// From a step in the middle of the table and from the last one, which stays; for every objective.
pub fn metrics(bench: &mut Bench<'_>) -> Result<(), Error> {
    const STEPS: usize = 3;
    const SAMPLES: usize = 2;
    let Sizes { batch, rows, columns, outputs, .. } = bench.sizes;
    bench.samples = SAMPLES;
    for (objective, row) in objectives(bench, SAMPLES)?.iter().zip([1, STEPS - 1, 0, STEPS - 1]) {
        let table: [Step; STEPS] = std::array::from_fn(|row| Step { row: row as u32, ..bench.step });
        let words = |row: usize| bytemuck::cast_slice::<Step, u32>(&table[row..=row]);
        let pass = Pass::new(bench.gpu, STEPS * batch, batch)?;
        pass.steps.write(bench.gpu, bytemuck::cast_slice::<Step, u32>(&table))?;
        pass.step.write(bench.gpu, words(row))?;
        poisoned(bench.gpu, pass.metrics.clone())?;
        let log_prob = bench.input(columns, |draw, _| 100.0 * draw)?;
        let kl = bench.input(outputs, |draw, _| 10.0 + draw)?;
        let terms = [&log_prob.tensor, &kl.tensor];
        let dispatch = metrics::finish(bench.gpu, &pass, &objective.part, SAMPLES, terms[0], terms[1])?;

        let sum = |terms: &Matrix| terms.values().iter().sum::<f64>() / SAMPLES as f64;
        let [mut sums, mut magnitudes] = [[0.0; 3]; 2];
        for (column, terms) in [&log_prob, &kl].into_iter().enumerate() {
            (sums[column], magnitudes[column]) = (sum(&terms.values), sum(&terms.values.abs()));
        }
        let kl_weight = f64::from(bench.step.kl_weight);
        (sums[2], magnitudes[2]) = match objective.loss {
            Loss::Elbo => (kl_weight * sums[1] - sums[0], kl_weight * magnitudes[1] + magnitudes[0]),
            Loss::Penalised(penalty) => (penalty - sums[0], penalty + magnitudes[0]),
            Loss::Stored(loss) => (loss, loss),
        };
        let values = Matrix::from_fn(STEPS, 4, |r, c| match (r == row, c) {
            (true, 0..=2) => sums[c],
            (true, _) => 0.0,
            (false, _) => f64::from(UNTOUCHED),
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

/// Eight chains of multiply-adds, each one of which halves the distance to 1.
pub fn peak(bench: &mut Bench<'_>) -> Result<(), Error> {
    let rounds = 2;
    let result = bench.output(4)?;
    let dispatch = peak::multiply_adds(bench.gpu, rounds, &result)?;
    let values = Matrix::from_fn(bench.sizes.batch, 4, |_, _| 8.0 * (1.0 - 0.5f64.powi(4 * rounds as i32)));
    let errors = values.map(|value| tolerance::sum(8 * rounds as usize, value));
    bench.check(dispatch, [Output::matrix("result", &result, &values, &errors)])
}
