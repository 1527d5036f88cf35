//! The self-test of `shaders/objective/penalised.wgsl` and of the files below it.

use super::{Given, Loss, alike, output};
use crate::Error;
use crate::objective::ObjectiveState;
use crate::objective::penalised::{Penalised, Penalty};
use crate::selftest::bench::{Bench, Output, SAMPLES, poisoned};
use crate::selftest::tolerance::{self, DIVISION};
use crate::selftest::{Checks, Matrix, Sizes};

pub(super) const CHECKS: Checks = &[("objective/penalised/penalty.wgsl", check_penalty)];

/// The mean of each column over the rows.
fn column_means(kl: &Matrix) -> Vec<f64> {
    (0..kl.columns()).map(|l| (0..kl.rows()).map(|r| kl.at(r, l)).sum::<f64>() / kl.rows() as f64).collect()
}

/// `kl_weight * sum_l max(mean kl[l], free_bits)`, and its derivative with respect to each latent's mean.
pub fn free_bits(kl: &Matrix, free_bits: f64, kl_weight: f64) -> (f64, Vec<f64>) {
    let means = column_means(kl);
    let weights = means.iter().map(|&mean| if mean > free_bits { kl_weight } else { 0.0 }).collect();
    (kl_weight * means.iter().map(|mean| mean.max(free_bits)).sum::<f64>(), weights)
}

/// `kl_weight * max(sum_l mean kl[l], free_bits)`, and its derivative with respect to each latent's mean.
pub fn free_bits_total(kl: &Matrix, free_bits: f64, kl_weight: f64) -> (f64, Vec<f64>) {
    let total = column_means(kl).iter().sum::<f64>();
    let weight = if total > free_bits { kl_weight } else { 0.0 };
    (kl_weight * total.max(free_bits), vec![weight; kl.columns()])
}

/// `kl_weight * |sum_l mean kl[l] - capacity|`, and its derivative with respect to each latent's mean.
pub fn capacity(kl: &Matrix, capacity: f64, kl_weight: f64) -> (f64, Vec<f64>) {
    let excess = column_means(kl).iter().sum::<f64>() - capacity;
    (kl_weight * excess.abs(), vec![kl_weight * excess.signum(); kl.columns()])
}

/// A loss with a penalty.
pub(super) fn given(bench: &mut Bench<'_>, samples: usize) -> Result<Given, Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    let penalised = Penalised::new(bench.gpu, Penalty::Capacity, latents)?;
    let latent_weights = super::weights(bench, &penalised.kl_weights)?;
    let values = super::weights(bench, &penalised.result)?;
    Ok(Given {
        name: "penalised",
        part: penalised.part().clone(),
        is_doubly: false,
        row_weights: alike(bench, samples),
        latent_weights,
        draw_weights: Vec::new(),
        loss: Loss::Penalised(values[0] * rows as f64),
    })
}

fn check_penalty(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { rows, columns: latents, .. } = bench.sizes;
    bench.samples = SAMPLES;
    let (kl_weight, goal) = (bench.kl_weight(), f64::from(bench.step.objective[1]));
    let totals = [Penalty::FreeBitsTotal(0.25), Penalty::FreeBitsTotal(40.0)];
    for penalty in [Penalty::FreeBits(0.25), Penalty::Capacity].into_iter().chain(totals) {
        // On both sides of the free bits.
        let kl = bench.input(latents, |draw, _| 0.25 + 0.2 * draw)?;
        let penalised = Penalised::new(bench.gpu, penalty, latents)?;
        let kl_weights = poisoned(bench.gpu, penalised.kl_weights.clone())?;
        let result = poisoned(bench.gpu, penalised.result.clone())?;
        let dispatch = penalised.penalise(bench.at(), &kl.tensor)?;
        let (value, weights) = match penalty {
            Penalty::FreeBits(bits) => free_bits(&kl.values, bits.into(), kl_weight),
            Penalty::FreeBitsTotal(bits) => free_bits_total(&kl.values, bits.into(), kl_weight),
            Penalty::Capacity => capacity(&kl.values, goal, kl_weight),
        };
        let magnitude = kl_weight * (0.45 * latents as f64 + goal);
        // Where nothing is penalised, all weights are 0, which another sign does not change.
        let weighs = weights.iter().any(|weight| *weight != 0.0);
        let error = magnitude * (tolerance::sum(rows * SAMPLES + latents + 8, 1.0) + DIVISION);
        let wanted = Matrix::vector(weights);
        let outputs = [
            Output::matrix("kl_weights", &kl_weights, &wanted, &wanted.map(|_| 0.0)),
            output("penalty", &result, vec![value], vec![error]),
        ];
        bench.check(dispatch, outputs.into_iter().skip(usize::from(!weighs)))?;
    }
    Ok(())
}
