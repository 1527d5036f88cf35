//! The checks of `shaders/eval/`.

use crate::Error;
use crate::eval;
use crate::gpu::Tensor;
use crate::selftest::Sizes;
use crate::selftest::bench::{Bench, Output, poisoned};
use crate::selftest::reference::Matrix;
use crate::selftest::tolerance::{self, DIVISION, ULP};
use crate::steps::Step;

/// Samples of each example.
const SAMPLES: usize = 3;

/// From the first step of an example's samples, and from one that comes when others are known.
pub fn accumulate(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, first, .. } = bench.sizes;
    let given: Vec<f32> = (0..batch * SAMPLES).map(|row| [1.0, 30.0, 1e3][row % 3] * (bench.draw() - 1.5)).collect();
    let log_weights = Tensor::from_values(bench.gpu, 1, given.len(), &given)?;
    bench.samples = 1;
    // The largest so far, above and below the new ones, and the sums.
    let known: Vec<f32> =
        (0..4 * (first + batch)).map(|i| [-20.0, 1.5, -90.0, 0.0][i % 4] * (1.0 + bench.draw())).collect();
    for (sample, samples) in [(0, SAMPLES), (5, SAMPLES - 1)] {
        let step = Step { sample, samples: samples as u32, ..bench.step };
        let step_tensor = Step::tensor(bench.gpu)?;
        step_tensor.write(bench.gpu, bytemuck::cast_slice::<Step, u32>(&[step]))?;
        let estimates = Tensor::from_values(bench.gpu, first + batch, 4, &known)?;
        let dispatch = eval::accumulate(bench.gpu, &step_tensor, SAMPLES, &log_weights, &estimates)?;
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for (example, before) in known.chunks(4).enumerate() {
            let wide = |value: &f32| f64::from(*value);
            let mut want: Vec<f64> = before.iter().map(wide).collect();
            let mut allowed = vec![0.0; 4];
            if (first..first + rows).contains(&example) {
                let own = &given[(example - first) * SAMPLES..][..samples];
                let own: Vec<f64> = own.iter().map(wide).collect();
                let (largest, sum, total) =
                    if sample == 0 { (f64::MIN, 0.0, 0.0) } else { (want[0], want[1], want[2]) };
                let highest = own.iter().copied().fold(largest, f64::max);
                let rest = sum * (largest - highest).exp();
                let terms: Vec<f64> = own.iter().map(|w| (w - highest).exp()).collect();
                want = vec![highest, rest + terms.iter().sum::<f64>(), total + own.iter().sum::<f64>(), 0.0];
                let magnitude = total.abs() + own.iter().map(|w| w.abs()).sum::<f64>();
                // Each exponential's argument is a difference, and is off by its rounding.
                let exponential = |w: f64, term: f64| term * (tolerance::exp(w - highest) + ULP * (w - highest).abs());
                let mut error: f64 = own.iter().zip(&terms).map(|(w, term)| exponential(*w, *term)).sum();
                error += if sample == 0 { 0.0 } else { exponential(largest, rest) + ULP * rest };
                allowed = vec![0.0, error + tolerance::sum(SAMPLES, want[1]), tolerance::sum(SAMPLES, magnitude), 0.0];
            }
            values.extend(want);
            errors.extend(allowed);
        }
        let [values, errors] = [values, errors].map(|flat| Matrix::from_fn(first + batch, 4, |r, c| flat[4 * r + c]));
        let variant = format!("from sample {sample}");
        bench.check_variant(&variant, dispatch, [Output::matrix("estimates", &estimates, &values, &errors)])?;
    }
    Ok(())
}

/// The sums of a step in the middle of the table.
pub fn latents(bench: &mut Bench<'_>) -> Result<(), Error> {
    const STEPS: usize = 3;
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    bench.samples = 1;
    let posterior = bench.input(2 * latents, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)?;
    bench.samples = SAMPLES;
    let kl = bench.input(latents, |draw, _| 2.0 + draw)?;
    let sums = poisoned(bench.gpu, Tensor::zeros(bench.gpu, 3 * STEPS, latents)?)?;
    let step = &bench.step_tensor;
    let dispatch = eval::add_up(bench.gpu, step, SAMPLES, &posterior.tensor, &kl.tensor, &sums)?;
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
