//! The probabilities of levels on the CPU: those that a coder needs.
//!
//! As in [`crate::nn::exact`], the bits are the same on every machine.

use std::fmt::Debug;

use super::BYTE_LEVELS;
use super::bernoulli::Bernoulli;
use super::beta_binomial::BetaBinomial;
use super::categorical::Categorical;
use super::discretised_logistic::DiscretisedLogistic;

/// A distribution over the levels of a dimension, which are evenly spaced from 0 to 1.
pub trait Levels: Debug + Send + Sync {
    /// The number of levels.
    fn count(&self) -> usize;

    /// The probability of each level, from the decoder's outputs for the dimension. They sum to 1, up to rounding.
    fn probabilities(&self, outputs: &[f32], probabilities: &mut [f64]);
}

/// The sigmoid of a number, and that of the opposite number.
fn sigmoids(x: f64) -> [f64; 2] {
    let e = libm::exp(-x.abs());
    let [large, small] = [1.0 / (1.0 + e), e / (1.0 + e)];
    if x >= 0.0 { [large, small] } else { [small, large] }
}

/// Divides by the sum.
fn normalise(probabilities: &mut [f64]) {
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|p| *p /= sum);
}

impl Levels for Bernoulli {
    fn count(&self) -> usize {
        2
    }

    fn probabilities(&self, outputs: &[f32], probabilities: &mut [f64]) {
        let logit = f64::from(outputs[0]);
        [probabilities[1], probabilities[0]] = sigmoids(logit);
    }
}

impl Levels for Categorical {
    fn count(&self) -> usize {
        self.categories
    }

    fn probabilities(&self, outputs: &[f32], probabilities: &mut [f64]) {
        let most = outputs.iter().fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
        for (p, logit) in probabilities.iter_mut().zip(outputs) {
            *p = libm::exp(f64::from(logit - most));
        }
        normalise(probabilities);
    }
}

impl Levels for DiscretisedLogistic {
    fn count(&self) -> usize {
        BYTE_LEVELS
    }

    fn probabilities(&self, outputs: &[f32], probabilities: &mut [f64]) {
        /// The least log scale, and what the decoder's output is added to: log(0.1).
        const LEAST: f64 = -7.0;
        const OFFSET: f64 = -std::f64::consts::LN_10;
        let (mean, raw) = (f64::from(outputs[0]), f64::from(outputs[1]));
        let inverse = libm::exp(-(raw + OFFSET).max(LEAST));
        // From the tail on: a difference of two numbers near 1 would lose its digits.
        let mut below = [0.0, 1.0];
        for (level, p) in probabilities.iter_mut().enumerate() {
            let edge = ((level as f64 + 0.5) / 255.0 - mean) * inverse;
            let above = if level == BYTE_LEVELS - 1 { [1.0, 0.0] } else { sigmoids(edge) };
            *p = if edge < 0.0 { above[0] - below[0] } else { below[1] - above[1] };
            below = above;
        }
        normalise(probabilities);
    }
}

impl Levels for BetaBinomial {
    fn count(&self) -> usize {
        BYTE_LEVELS
    }

    /// By the ratios of neighbours: `p(k + 1) / p(k) = (255 - k) (k + alpha) / ((k + 1) (254 - k + beta))`.
    fn probabilities(&self, outputs: &[f32], probabilities: &mut [f64]) {
        const HIGHEST: usize = BYTE_LEVELS - 1;
        let count = |output: f32| libm::exp(f64::from(output.clamp(-7.0, 7.0)));
        let (alpha, beta) = (count(outputs[0]), count(outputs[1]));
        let ratio = |k: usize| {
            let (k, rest) = (k as f64, (HIGHEST - k) as f64);
            rest * (k + alpha) / ((k + 1.0) * (rest - 1.0 + beta))
        };
        // Levels so unlikely that a double cannot hold them beside the others become 0.
        probabilities[0] = 1.0;
        for k in 0..HIGHEST {
            let next = probabilities[k] * ratio(k);
            probabilities[k + 1] = next;
            if next > 1e200 {
                probabilities[..=k + 1].iter_mut().for_each(|p| *p *= 1e-200);
            }
        }
        normalise(probabilities);
    }
}
