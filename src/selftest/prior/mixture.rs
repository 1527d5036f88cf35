//! The self-test of `shaders/prior/mixture.wgsl` and of the files below it.
//!
//! Components are `(M, 2L)`: the means and then the log variances. The part in the slot `prior` is checked with the
//! kernels of the posterior.

use std::f64::consts::TAU;

use crate::Error;
use crate::gpu::Tensor;
use crate::nn::{self, Activation, Extent, Layers, NormKind, Stack, StackConfig, Upsample};
use crate::posterior::{LogvarRange, PosteriorConfig};
use crate::prior::mixture::Mixture;
use crate::prior::{KlEstimate, PriorContext};
use crate::selftest::bench::{Bench, Operand, Output, SAMPLES, poisoned};
use crate::selftest::logvar_range::{RANGE, clamped, through};
use crate::selftest::noise::threefry;
use crate::selftest::objective::objectives;
use crate::selftest::tolerance::{self, DIVISION, LOG, NOISE, ULP};
use crate::selftest::{Checks, Matrix, Sizes};

pub(super) const CHECKS: Checks = &[
    ("prior/mixture/prepare.wgsl:prepare", check_prepare),
    ("prior/mixture/score.wgsl:score", check_score),
    ("prior/mixture/combine.wgsl:combine", check_combine),
    ("prior/mixture/backward_z.wgsl:backward_z", check_backward_z),
    ("prior/mixture/backward_components.wgsl:backward_components", check_backward_components),
    ("prior/mixture/draw.wgsl:draw", check_prior_draw),
];

/// The part of a component's density that does not depend on z: the means, `exp(-v)`, and `-1/2 sum_l (log(2 pi) + v)`.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// `(M, L)`
    pub means: Matrix,
    /// `(M, L)`
    pub precisions: Matrix,
    /// `(M)`
    pub log_scales: Vec<f64>,
}

/// Splits components into these values.
pub fn prepare(components: &Matrix) -> Prepared {
    let (count, latents) = (components.rows(), components.columns() / 2);
    let logvars = |c: usize| &components.row(c)[latents..];
    Prepared {
        means: Matrix::from_fn(count, latents, |c, l| components.at(c, l)),
        precisions: Matrix::from_fn(count, latents, |c, l| (-logvars(c)[l]).exp()),
        log_scales: (0..count).map(|c| -0.5 * logvars(c).iter().map(|v| TAU.ln() + v).sum::<f64>()).collect(),
    }
}

/// `scores[r, c] = log N(z[r]; m_c, exp(v_c))`
pub fn scores(z: &Matrix, prepared: &Prepared) -> Matrix {
    let Prepared { means, precisions, log_scales } = prepared;
    Matrix::from_fn(z.rows(), means.rows(), |r, c| {
        let square = |l: usize| (z.at(r, l) - means.at(c, l)).powi(2) * precisions.at(c, l);
        log_scales[c] - 0.5 * (0..z.columns()).map(square).sum::<f64>()
    })
}

/// Each row's largest score, and the sum of the exponentials relative to it.
fn sums(scores: &Matrix) -> impl Iterator<Item = (f64, f64)> {
    (0..scores.rows()).map(|r| {
        let largest = scores.row(r).iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (largest, scores.row(r).iter().map(|score| (score - largest).exp()).sum())
    })
}

/// `log p(z) = log 1/M sum_c exp(scores[r, c])` of each row.
pub fn log_prob(scores: &Matrix) -> Vec<f64> {
    sums(scores).map(|(largest, sum)| largest + sum.ln() - (scores.columns() as f64).ln()).collect()
}

/// Each component's share of a row's density.
pub fn responsibilities(scores: &Matrix) -> Matrix {
    let sums: Vec<_> = sums(scores).collect();
    Matrix::from_fn(scores.rows(), scores.columns(), |r, c| (scores.at(r, c) - sums[r].0).exp() / sums[r].1)
}

/// The gradient of `-log p(z)` with respect to z: `sum_c responsibilities[r, c] (z[r, l] - m[c, l]) precisions[c, l]`
pub fn backward_z(z: &Matrix, prepared: &Prepared, responsibilities: &Matrix) -> Matrix {
    let Prepared { means, precisions, .. } = prepared;
    Matrix::from_fn(z.rows(), z.columns(), |r, l| {
        let pull = |c: usize| responsibilities.at(r, c) * (z.at(r, l) - means.at(c, l)) * precisions.at(c, l);
        (0..means.rows()).map(pull).sum()
    })
}

/// The gradient of `-sum_r weights[r] log p(z[r])` with respect to the components.
pub fn backward_components(z: &Matrix, components: &Matrix, responsibilities: &Matrix, weights: &[f64]) -> Matrix {
    let latents = z.columns();
    Matrix::from_fn(components.rows(), 2 * latents, |c, column| {
        let l = column % latents;
        let (mean, precision) = (components.at(c, l), (-components.at(c, latents + l)).exp());
        let of_row = |r: usize| {
            let (share, offset) = (weights[r] * responsibilities.at(r, c), z.at(r, l) - mean);
            share * if column < latents { -offset * precision } else { -0.5 * (offset * offset * precision - 1.0) }
        };
        (0..z.rows()).map(of_row).sum()
    })
}

/// `log q(z|x)`, latent by latent, of the draws that the posterior made from the noise:
/// `-1/2 (log(2 pi) + logvar + noise^2)`
pub fn log_posterior(posterior: &Matrix, noise: &Matrix) -> Matrix {
    let latents = noise.columns();
    Matrix::from_fn(noise.rows(), latents, |r, l| {
        -0.5 * (TAU.ln() + posterior.at(r, latents + l) + noise.at(r, l).powi(2))
    })
}

/// How far [`log_posterior`] may be off, from the magnitude of the noise.
pub(super) fn log_posterior_error(logvar: f64, noise: f64) -> f64 {
    let magnitude = TAU.ln() + logvar.abs() + noise * noise;
    0.5 * tolerance::sum(4, magnitude) + noise * NOISE + 0.5 * NOISE * NOISE
}

/// The component, one of `count`, of the draw for the example at `position` in step `t`.
pub fn choice(key: [u32; 4], position: u32, t: u32, count: usize) -> usize {
    let word = threefry(key, [u32::MAX, position, t, 0])[0];
    ((u64::from(word) * count as u64) >> 32) as usize
}

/// A mixture of as many components as the sizes have outputs, and its components: log variances in range and out of it.
fn mixture(bench: &mut Bench<'_>, range: Option<LogvarRange>) -> Result<(Mixture, Matrix), Error> {
    let Sizes { batch, columns: latents, outputs: count, .. } = bench.sizes;
    let values: Vec<f32> = (0..count * 2 * latents).map(|_| 2.0 * bench.draw()).collect();
    let components = Tensor::from_values(bench.gpu, count, 2 * latents, &values)?;
    // The components are given: no encoder makes them.
    let (activation, upsample) = (Activation::default(), Upsample::default());
    let config = StackConfig { hidden: &Layers::default(), activation, normalise: NormKind::None, upsample };
    let encoder = &Stack::encoder(["encoder", "posterior"], Extent::vector(1), 2 * latents, config);
    let specs: Vec<_> = encoder.parameters().collect();
    let context = PriorContext {
        gpu: bench.gpu,
        parameters: &nn::arena(bench.gpu, &specs)?,
        encoder: Some(encoder),
        posterior: &PosteriorConfig { logvar_range: range, ..PosteriorConfig::default() },
        latents,
        rows: batch * SAMPLES,
        estimate: KlEstimate::Sampled,
        trains: true,
    };
    let mixture = Mixture::new(context, &components)?;
    bench.samples = SAMPLES;
    Ok((mixture, Matrix::from_fn(count, 2 * latents, |c, l| f64::from(values[c * 2 * latents + l]))))
}

/// The same with the values that depend only on the components, as f32.
fn prepared(bench: &mut Bench<'_>) -> Result<(Mixture, Prepared), Error> {
    let (mixture, components) = mixture(bench, None)?;
    let narrow = |values: &[f64]| -> Vec<f32> { values.iter().map(|value| *value as f32).collect() };
    let rounded = |values: &Matrix| values.map(|value| f64::from(value as f32));
    let Prepared { means, precisions, log_scales } = prepare(&components);
    mixture.means.write(bench.gpu, &narrow(means.values()))?;
    mixture.precisions.write(bench.gpu, &narrow(precisions.values()))?;
    mixture.log_scales.write(bench.gpu, &narrow(&log_scales))?;
    let log_scales = rounded(&Matrix::vector(log_scales)).values().to_vec();
    Ok((mixture, Prepared { precisions: rounded(&precisions), means, log_scales }))
}

/// Draws about the components, and far from all of them in every third row.
fn draws(bench: &mut Bench<'_>) -> Result<Operand, Error> {
    bench.input(bench.sizes.columns, |draw, row| [1.0, 4.0, 20.0][row % 3] * draw)
}

fn check_prepare(bench: &mut Bench<'_>) -> Result<(), Error> {
    let latents = bench.sizes.columns;
    for range in [None, Some(RANGE)] {
        let (mixture, components) = mixture(bench, range)?;
        let seen = clamped(&components, range);
        let Prepared { means, precisions, log_scales } = prepare(&seen);
        for tensor in [&mixture.means, &mixture.precisions, &mixture.log_scales] {
            poisoned(bench.gpu, tensor.clone())?;
        }
        let precision_errors = precisions.map(|precision| precision * (tolerance::exp(precision.ln()) + ULP));
        let scale_errors = (0..seen.rows()).map(|c| {
            let magnitude: f64 = seen.row(c)[latents..].iter().map(|v| TAU.ln() + v.abs()).sum();
            0.5 * tolerance::sum(latents + 3, magnitude)
        });
        let (scales, scale_errors) = (Matrix::vector(log_scales), Matrix::vector(scale_errors.collect()));
        let outputs = [
            Output::matrix("means", &mixture.means, &means, &means.map(|_| 0.0)),
            Output::matrix("precisions", &mixture.precisions, &precisions, &precision_errors),
            Output::unpadded("log_scales", &mixture.log_scales, &scales, &scale_errors),
        ];
        bench.check_variant(if range.is_some() { "clamped" } else { "" }, mixture.prepare()?, outputs)?;
    }
    Ok(())
}

fn check_score(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs: count, .. } = bench.sizes;
    let (mut mixture, prepared) = prepared(bench)?;
    let z = draws(bench)?;
    mixture.scores = bench.output(count)?;
    let values = scores(&z.values, &prepared);
    let errors = Matrix::from_fn(values.rows(), count, |r, c| {
        let (scale, value) = (prepared.log_scales[c], values.at(r, c));
        // A square has two roundings of the offset, one of its own and one with the precision.
        tolerance::sum(latents + 4, scale - value) + ULP * (value.abs() + scale.abs())
    });
    let dispatch = mixture.score(bench.at(), &z.tensor)?;
    bench.check(dispatch, [Output::unpadded("scores", &mixture.scores, &values, &errors)])
}

fn check_combine(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs: count, .. } = bench.sizes;
    let (mut mixture, _) = mixture(bench, None)?;
    let given = bench.in_place(count, |draw, row| [1.0, 30.0, 1e3][row % 3] * (draw - 1.5))?;
    let kl = bench.in_place(latents, |draw, _| 3.0 * draw)?;
    mixture.scores = given.tensor;
    let scores = given.values;
    let (shares, log_probs) = (responsibilities(&scores), log_prob(&scores));
    let below = |r: usize, c: usize| scores.row(r).iter().copied().fold(f64::MIN, f64::max) - scores.at(r, c);
    // The relative error of a row's sum. A term is an exponential of up to eight parts of its distance from the
    // largest: one in its lane and one in each round of the tree. Each part is off by its rounding; each product and
    // sum is rounded.
    let relative: Vec<f64> = (0..scores.rows())
        .map(|r| {
            let of_term = |c| shares.at(r, c) * (8.0 * tolerance::exp(0.0) + 3.0 * ULP * below(r, c) + 8.0 * ULP);
            (0..count).map(of_term).sum::<f64>() + tolerance::sum(count.div_ceil(64) + 7, 1.0)
        })
        .collect();
    let share_errors = Matrix::from_fn(scores.rows(), count, |r, c| {
        let exponential = tolerance::exp(below(r, c)) + ULP * below(r, c);
        shares.at(r, c) * (exponential + DIVISION + relative[r])
    });
    let divergences =
        Matrix::from_fn(scores.rows(), latents, |r, l| kl.values.at(r, l) - log_probs[r] / latents as f64);
    let divergence_errors = Matrix::from_fn(scores.rows(), latents, |r, l| {
        let (log_prob, log_count) = (log_probs[r].abs(), (count as f64).ln());
        // Past 2, a logarithm is off by three units.
        let logarithms = 2.0 * (LOG + 3.0 * ULP * log_count);
        let log_prob_error = relative[r] + logarithms + 2.0 * ULP * (log_prob + 2.0 * log_count);
        let part = log_prob / latents as f64;
        log_prob_error / latents as f64 + (DIVISION + ULP) * part + ULP * kl.values.at(r, l).abs()
    });
    let dispatch = mixture.combine(bench.at(), &kl.tensor)?;
    let outputs = [
        Output::matrix("scores", &mixture.scores, &shares, &share_errors),
        Output::matrix("kl", &kl.tensor, &divergences, &divergence_errors),
    ];
    bench.check(dispatch, outputs)
}

fn check_backward_z(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs: count, .. } = bench.sizes;
    let (mut mixture, prepared) = prepared(bench)?;
    let z = draws(bench)?;
    let shares = bench.input(count, |draw, _| draw.abs())?;
    mixture.scores = shares.tensor;
    mixture.dz = bench.output(latents)?;
    let values = backward_z(&z.values, &prepared, &shares.values);
    let Prepared { means, precisions, .. } = &prepared;
    let errors = Matrix::from_fn(z.values.rows(), latents, |r, l| {
        let pull = |c| shares.values.at(r, c) * (z.values.at(r, l) - means.at(c, l)).abs() * precisions.at(c, l);
        tolerance::sum(count + 3, (0..count).map(pull).sum())
    });
    let dispatch = mixture.backward_z(bench.at(), &z.tensor)?;
    bench.check(dispatch, [Output::matrix("prior_dz", &mixture.dz, &values, &errors)])
}

fn check_backward_components(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, outputs: count, .. } = bench.sizes;
    for objective in objectives(bench, SAMPLES)? {
        let (mut mixture, components) = mixture(bench, Some(RANGE))?;
        let z = draws(bench)?;
        let shares = bench.input(count, |draw, _| draw.abs())?;
        mixture.scores = shares.tensor;
        let weights: Vec<f64> = (0..rows * SAMPLES).map(|row| objective.kl_weight(row, 0)).collect();
        let seen = clamped(&components, Some(RANGE));
        let gradient = backward_components(&z.values, &seen, &shares.values, &weights);
        let values = through(&components, &gradient, Some(RANGE));
        let errors = Matrix::from_fn(count, 2 * latents, |c, column| {
            let l = column % latents;
            let (mean, logvar) = (seen.at(c, l), seen.at(c, latents + l));
            let of_row = |r: usize| {
                let offset = (z.values.at(r, l) - mean).abs();
                let own = if column < latents { offset } else { 0.5 * offset * offset };
                weights[r] * shares.values.at(r, c) * (own * (-logvar).exp() + if column < latents { 0.0 } else { 0.5 })
            };
            let magnitude: f64 = (0..rows * SAMPLES).map(of_row).sum();
            // The weight is a quotient and a product; its product with the share is rounded too.
            magnitude * (tolerance::sum(rows * SAMPLES + 8, 1.0) + tolerance::exp(logvar) + 2.0 * DIVISION)
        });
        let dcomponents = poisoned(bench.gpu, Tensor::zeros(bench.gpu, count, 2 * latents)?)?;
        let dispatch = mixture.backward_components(bench.at(), &objective.part, &z.tensor, &dcomponents)?;
        let output = Output::unpadded("dcomponents", &dcomponents, &values, &errors);
        bench.check_variant(objective.name, dispatch, [output])?;
    }
    Ok(())
}

fn check_prior_draw(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, outputs: count, .. } = bench.sizes;
    let (mixture, components) = mixture(bench, Some(RANGE))?;
    bench.samples = 1;
    let z = bench.output(latents)?;
    let dispatch = mixture.sample(bench.at(), &z)?;
    let (seen, noise) = (clamped(&components, Some(RANGE)), bench.noise(0, 1));
    let choice = |b: usize| choice(bench.step.key, bench.step.first + b as u32, bench.step.t, count);
    let parts = |b: usize, l: usize| {
        let half_logvar = 0.5 * seen.at(choice(b), latents + l);
        (seen.at(choice(b), l), half_logvar, half_logvar.exp(), noise.at(b, l))
    };
    let values = Matrix::from_fn(rows, latents, |b, l| {
        let (mean, _, std, noise) = parts(b, l);
        mean + std * noise
    });
    let errors = Matrix::from_fn(rows, latents, |b, l| {
        let (mean, half_logvar, std, noise) = parts(b, l);
        std * (NOISE + noise.abs() * (tolerance::exp(half_logvar) + ULP)) + ULP * (mean.abs() + std * noise.abs())
    });
    bench.check(dispatch, [Output::matrix("z", &z, &values, &errors)])
}
