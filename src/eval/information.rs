//! The mutual information of the data and the latents.

use std::convert::Infallible;
use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::data::parallel;
use crate::noise::Stream;
use crate::vae::PosteriorParameters;

/// The mutual information of x and z under q, over all examples, in nats: a draw of each posterior is compared with the posteriors of
/// all examples.
///
/// `I = E_x E_q(z|x) [log q(z|x) - log 1/N sum_j q(z|x_j)]`, at most `log N`. It is the mean KL divergence to the prior, less that of the
/// aggregated posterior.
///
/// # Source
///
/// Hoffman & Johnson 2016; He et al. 2019, section 3.2, there within a batch.
pub fn mutual_information(posteriors: &PosteriorParameters, latents: usize, seed: u64) -> f64 {
    let PosteriorParameters { mean, logvar } = posteriors;
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().copied().map(f64::from).collect() };
    let (mean, logvar) = (wide(mean), wide(logvar));
    let precision: Vec<f64> = logvar.iter().map(|logvar| (-logvar).exp()).collect();
    // The constant of each density, but for that which all share.
    let constants: Vec<f64> = logvar.chunks(latents).map(|row| -0.5 * row.iter().sum::<f64>()).collect();
    let log_density = |z: &[f64], j: usize| {
        let own = j * latents..(j + 1) * latents;
        let terms = z.iter().zip(&mean[own.clone()]).zip(&precision[own]);
        constants[j] - 0.5 * terms.map(|((z, mean), precision)| (z - mean).powi(2) * precision).sum::<f64>()
    };
    let of = |example: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((example as u64) << 32 | Stream::Information as u64);
        let own = example * latents..(example + 1) * latents;
        let z: Vec<f64> = mean[own.clone()]
            .iter()
            .zip(&logvar[own])
            .map(|(mean, logvar)| mean + (0.5 * logvar).exp() * normal(&mut rng))
            .collect();
        let densities: Vec<f64> = (0..constants.len()).map(|j| log_density(&z, j)).collect();
        let largest = densities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = densities.iter().map(|density| (density - largest).exp()).sum();
        densities[example] - largest - (sum / constants.len() as f64).ln()
    };
    let terms = parallel::map(0..constants.len(), false, |example| Ok::<_, Infallible>(of(example)), &|_| ());
    terms.into_iter().flatten().sum::<f64>() / constants.len() as f64
}

/// A standard normal draw, by Box-Muller.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let unit = |word: u32| (f64::from(word) + 1.0) * 2f64.powi(-32);
    (-2.0 * unit(rng.next_u32()).ln()).sqrt() * (TAU * unit(rng.next_u32())).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_nothing_if_posteriors_are_alike_and_log_n_if_they_are_apart() {
        let of = |mean: &dyn Fn(usize) -> f32| {
            let mean: Vec<f32> = (0..64 * 2).map(mean).collect();
            mutual_information(&PosteriorParameters { logvar: vec![-2.0; mean.len()], mean }, 2, 5)
        };
        assert!(of(&|_| 0.7).abs() < 1e-9);
        assert!((of(&|i| 9.0 * i as f32) - 64f64.ln()).abs() < 1e-9);
        // Two groups: one bit.
        assert!((of(&|i| if i < 64 { 5.0 } else { -5.0 }) - 2f64.ln()).abs() < 1e-6);
    }
}
