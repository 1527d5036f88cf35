//! The self-test of `shaders/eval/importance.wgsl`.

use crate::Error;
use crate::eval;
use crate::gpu::Tensor;
use crate::selftest::bench::{Bench, Output, SAMPLES};
use crate::selftest::tolerance::{self, ULP};
use crate::selftest::{Checks, Matrix, Sizes};
use crate::step::{At, Step};

pub(super) const CHECKS: Checks = &[("eval/importance.wgsl:accumulate", check_accumulate)];

/// An example's numbers so far: its largest log weight, the sum of its weights relative to that, and the sum of its log
/// weights.
#[derive(Clone, Copy)]
struct Estimate {
    largest: f64,
    sum: f64,
    total: f64,
}

impl Estimate {
    /// Without any weights.
    const NONE: Estimate = Estimate { largest: f64::MIN, sum: 0.0, total: 0.0 };

    /// The same with more log weights.
    fn with(self, log_weights: &[f64]) -> Estimate {
        let largest = log_weights.iter().copied().fold(self.largest, f64::max);
        let new: f64 = log_weights.iter().map(|w| (w - largest).exp()).sum();
        let rest = self.sum * (self.largest - largest).exp();
        Estimate { largest, sum: rest + new, total: self.total + log_weights.iter().sum::<f64>() }
    }

    /// How far each number of [`Estimate::with`] may be off.
    fn errors(self, log_weights: &[f64]) -> Estimate {
        let Estimate { largest, sum, .. } = self.with(log_weights);
        // The argument of each exponential is a difference, and is off by its rounding.
        let exponential = |w: f64, term: f64| term * (tolerance::exp(w - largest) + ULP * (w - largest).abs());
        let mut error: f64 = log_weights.iter().map(|w| exponential(*w, (w - largest).exp())).sum();
        if self.sum != 0.0 {
            let rest = self.sum * (self.largest - largest).exp();
            error += exponential(self.largest, rest) + ULP * rest;
        }
        let magnitude = self.total.abs() + log_weights.iter().map(|w| w.abs()).sum::<f64>();
        Estimate { largest: 0.0, sum: error + tolerance::sum(SAMPLES, sum), total: tolerance::sum(SAMPLES, magnitude) }
    }

    /// As the kernel keeps it.
    fn words(self) -> [f64; 4] {
        [self.largest, self.sum, self.total, 0.0]
    }
}

/// The first step of an example's samples, and a later one.
fn check_accumulate(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, first, .. } = bench.sizes;
    let given: Vec<f32> = (0..batch * SAMPLES).map(|row| [1.0, 30.0, 1e3][row % 3] * (bench.draw() - 1.5)).collect();
    let log_weights = Tensor::from_values(bench.gpu, 1, given.len(), &given)?;
    bench.samples = 1;
    // The largest so far, above and below the new ones, and the sums.
    let known: Vec<f32> =
        (0..4 * (first + batch)).map(|i| [-20.0, 1.5, -90.0, 0.0][i % 4] * (1.0 + bench.draw())).collect();
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().copied().map(f64::from).collect() };
    for (first_sample, live) in [(0, SAMPLES), (5, SAMPLES - 1)] {
        let step = Step { first_sample, live_samples: live as u32, ..bench.step }.upload(bench.gpu)?;
        let estimates = Tensor::from_values(bench.gpu, first + batch, 4, &known)?;
        let at = At { step: &step, samples: SAMPLES, ..bench.at() };
        let dispatch = eval::accumulate(at, &log_weights, &estimates)?;
        let (mut values, mut errors) = (wide(&known), vec![0.0; known.len()]);
        for example in first..first + rows {
            let own = wide(&given[(example - first) * SAMPLES..][..live]);
            let words = 4 * example..4 * example + 4;
            let [largest, sum, total, _] = values[words.clone()] else { panic!("four words of each example") };
            let before = if first_sample == 0 { Estimate::NONE } else { Estimate { largest, sum, total } };
            values[words.clone()].copy_from_slice(&before.with(&own).words());
            errors[words].copy_from_slice(&before.errors(&own).words());
        }
        let [values, errors] = [values, errors].map(|flat| Matrix::from_fn(first + batch, 4, |r, c| flat[4 * r + c]));
        let variant = format!("from sample {first_sample}");
        bench.check_variant(&variant, dispatch, [Output::matrix("estimates", &estimates, &values, &errors)])?;
    }
    Ok(())
}
