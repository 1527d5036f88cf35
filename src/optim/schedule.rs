//! Learning rate schedules: by what the rate of an epoch is multiplied.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::config::TrainingConfig;

/// How the learning rate changes from epoch to epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningRateSchedule {
    /// --lr throughout.
    #[default]
    Constant,
    /// Times --lr-factor after each of the epochs --lr-milestones.
    Steps,
    /// Times --lr-factor after every epoch.
    Exponential,
    /// From --lr down to 0 at the end of --epochs, along half a cosine.
    Cosine,
    /// Times --lr-factor after --lr-patience epochs without a lower loss on the images to validate with, or on the test set where
    /// there are none.
    Plateau,
    /// 3^i epochs at --lr times 10^(-i/7), for i = 0 to 7 (Burda et al. 2016): 3,280 epochs in all.
    Staircase,
}

impl LearningRateSchedule {
    /// The learning rate of an epoch, counted from 1; `cuts` is how often a plateau has cut it.
    pub fn rate(self, config: &TrainingConfig, epoch: u32, cuts: u32) -> f64 {
        let done = epoch - 1;
        let factor = |times: u32| config.learning_rate_factor.powf(f64::from(times));
        config.learning_rate
            * match self {
                LearningRateSchedule::Constant => 1.0,
                LearningRateSchedule::Steps => factor(
                    config.learning_rate_milestones.0.iter().filter(|milestone| **milestone <= done as usize).count()
                        as u32,
                ),
                LearningRateSchedule::Exponential => factor(done),
                LearningRateSchedule::Cosine => {
                    0.5 * (1.0 + (std::f64::consts::PI * f64::from(done) / f64::from(config.epochs)).cos())
                }
                LearningRateSchedule::Plateau => factor(cuts),
                LearningRateSchedule::Staircase => {
                    // Before stair i lie 1 + 3 + ... + 3^(i-1) = (3^i - 1) / 2 epochs.
                    let stair = (1..=7).take_while(|&stair| (3u32.pow(stair) - 1) / 2 <= done).count();
                    10f64.powf(-(stair as f64) / 7.0)
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Widths;

    fn rates(schedule: LearningRateSchedule, epochs: &[u32]) -> Vec<f64> {
        let config = TrainingConfig {
            learning_rate: 0.8,
            learning_rate_factor: 0.5,
            learning_rate_milestones: Widths(vec![3, 5]),
            epochs: 4,
            ..TrainingConfig::default()
        };
        epochs.iter().map(|epoch| schedule.rate(&config, *epoch, 2)).collect()
    }

    #[test]
    fn rates_are_those_computed_by_hand() {
        assert_eq!(rates(LearningRateSchedule::Constant, &[1, 9]), [0.8, 0.8]);
        assert_eq!(rates(LearningRateSchedule::Steps, &[1, 3, 4, 5, 6, 99]), [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]);
        assert_eq!(rates(LearningRateSchedule::Exponential, &[1, 2, 3]), [0.8, 0.4, 0.2]);
        assert_eq!(rates(LearningRateSchedule::Plateau, &[7]), [0.2]);
        let cosine = rates(LearningRateSchedule::Cosine, &[1, 2, 3, 4]);
        for (found, want) in cosine.iter().zip([0.8, 0.4 + 0.2 * 2f64.sqrt(), 0.4, 0.4 - 0.2 * 2f64.sqrt()]) {
            assert!((found - want).abs() < 1e-12, "{cosine:?}");
        }
    }

    #[test]
    fn a_staircase_has_stairs_of_powers_of_three() {
        let rates = rates(LearningRateSchedule::Staircase, &[1, 2, 4, 5, 13, 14, 1093, 1094, 3280, 9999]);
        let stairs: Vec<f64> = rates.iter().map(|rate| (-7.0 * (rate / 0.8).log10()).round()).collect();
        assert_eq!(stairs, [0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 6.0, 7.0, 7.0, 7.0]);
        assert!((rates[9] - 0.08).abs() < 1e-12);
    }
}
