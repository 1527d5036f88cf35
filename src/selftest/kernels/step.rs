//! The checks of the kernels that begin and end a step, `shaders/data/batch.wgsl` and `shaders/metrics.wgsl`, and of those that
//! are measured as peaks, `shaders/gpu/peak.wgsl` and `shaders/gpu/peak/copy.wgsl`.

use super::objective::{Loss, objectives};
use crate::Error;
use crate::data::batch::DeviceImages;
use crate::data::{Binarize, Images, order};
use crate::gpu::Tensor;
use crate::gpu::peak;
use crate::metrics;
use crate::noise::{self, Stream};
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Output, UNTOUCHED, poisoned};
use crate::selftest::reference::{Matrix, noise as reference};
use crate::selftest::tolerance::{self, DIVISION};
use crate::steps::{Pass, Step};

/// Both kinds of pixels, in every way that the model may see them.
pub fn gather(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, first, columns, .. } = bench.sizes;
    let count = first + batch;
    let bytes: Vec<u8> = (0..count * columns).map(|_| (128.0 * (1.0 + bench.draw())) as u8).collect();
    // Multiples of 1/64 too, of which one half is one.
    let floats = (0..count * columns).map(|_| (64.0 * bench.draw().abs()).round() / 64.0).collect();
    let images = [Images::new(bytes, count, 1, columns)?, Images::from_floats(floats, count, 1, columns)?];
    let order = order::shuffled(count, 0, 1);
    let order_tensor = Tensor::from_values(bench.gpu, 1, count, &order)?;
    for binarize in [Binarize::None, Binarize::Threshold, Binarize::Static, Binarize::Dynamic] {
        for (kind, images) in ["bytes", "floats"].iter().zip(&images) {
            let x = bench.output(columns)?;
            let device_images = DeviceImages::upload(bench.gpu, images, binarize, Stream::BinariseEvaluation)?;
            let dispatch = device_images.gather(bench.gpu, &bench.step_tensor, &order_tensor, &x)?;
            let pixels: Vec<f32> = images.pixels().collect();
            let image = |b: usize| order[first + b];
            let grey = Matrix::from_fn(rows, columns, |b, d| f64::from(pixels[image(b) as usize * columns + d]));
            let key = noise::key(
                u64::from(bench.step.key[1]) << 32 | u64::from(bench.step.key[0]),
                Stream::BinariseEvaluation,
            );
            let t = if binarize == Binarize::Dynamic { bench.step.t } else { 0 };
            let (values, errors) = match binarize {
                Binarize::None => (grey.clone(), grey.map(|value| DIVISION * value)),
                Binarize::Threshold => (grey.map(|value| f64::from(u8::from(value >= 0.5))), grey.map(|_| 0.0)),
                Binarize::Static | Binarize::Dynamic => {
                    let uniform = |b, d: usize| reference::uniform(key, [d as u32 / 4, image(b), t, 0], d % 4);
                    let white = |b, d| f64::from(u8::from(uniform(b, d) < grey.at(b, d)));
                    // A grey level may be off by its rounding: a draw that close to it can go either way.
                    let close = |b, d| f64::from(u8::from((uniform(b, d) - grey.at(b, d)).abs() < DIVISION));
                    (Matrix::from_fn(rows, columns, white), Matrix::from_fn(rows, columns, close))
                }
            };
            let outputs = [Output::matrix("x", &x, &values, &errors)];
            bench.check_variant(&format!("{kind}, {binarize:?}"), dispatch, outputs)?;
        }
    }
    Ok(())
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

/// Every word as it was.
pub fn copy(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, columns, .. } = bench.sizes;
    let draws: Vec<f32> = (0..batch * columns).map(|_| bench.draw()).collect();
    let from = Tensor::from_values(bench.gpu, batch, columns, &draws)?;
    let to = bench.output(columns)?;
    let values = Matrix::from_fn(batch, columns, |row, column| f64::from(draws[row * columns + column]));
    let errors = values.map(|_| 0.0);
    bench.check(peak::copy(bench.gpu, &from, &to)?, [Output::matrix("copied", &to, &values, &errors)])
}
