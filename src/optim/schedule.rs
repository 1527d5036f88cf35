//! The learning rate and its schedule: the factor of the rate in each epoch.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;
use crate::numbers::Numbers;

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
    /// Times --lr-factor after --lr-patience epochs without a lower loss on the validation set, or on the test set if there is none.
    Plateau,
    /// 3^i epochs at --lr times 10^(-i/7), for i = 0 to 7 (Burda et al. 2016): 3,280 epochs in all.
    Staircase,
}

/// The learning rate and its schedule.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct LearningRate {
    /// Learning rate
    #[arg(
        id = "learning_rate",
        long = "lr",
        value_name = "X",
        default_value_t = 1e-3,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    #[serde(rename = "learning_rate")]
    pub initial: f64,
    /// How the learning rate changes from epoch to epoch
    #[arg(
        id = "learning_rate_schedule",
        long = "lr-schedule",
        value_name = "LEARNING_RATE_SCHEDULE",
        value_enum,
        default_value_t,
        help_heading = "Training"
    )]
    #[serde(rename = "learning_rate_schedule")]
    pub schedule: LearningRateSchedule,
    /// Factor of the learning rate in the schedules steps, exponential and plateau
    #[arg(
        id = "learning_rate_factor",
        long = "lr-factor",
        value_name = "X",
        default_value_t = 0.1,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    #[serde(rename = "learning_rate_factor")]
    pub factor: f64,
    /// Epochs after which --lr-schedule steps multiplies the learning rate by --lr-factor, as 200,350
    #[arg(
        id = "learning_rate_milestones",
        long = "lr-milestones",
        value_name = "EPOCHS",
        default_value = "none",
        help_heading = "Training"
    )]
    #[serde(rename = "learning_rate_milestones")]
    pub milestones: Numbers,
    /// With --lr-schedule plateau: epochs without a lower loss before the learning rate is multiplied by --lr-factor
    #[arg(
        id = "learning_rate_patience",
        long = "lr-patience",
        value_name = "N",
        default_value_t = 10,
        help_heading = "Training"
    )]
    #[serde(rename = "learning_rate_patience")]
    pub patience: u32,
}

impl Default for LearningRate {
    fn default() -> LearningRate {
        LearningRate {
            initial: 1e-3,
            schedule: LearningRateSchedule::default(),
            factor: 0.1,
            milestones: Numbers::default(),
            patience: 10,
        }
    }
}

impl LearningRate {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let LearningRate { initial: rate, schedule, factor, ref milestones, patience } = *self;
        // The kernels read an f32.
        let fits = (rate as f32).is_normal() && rate > 0.0;
        require("--lr", fits, "a finite number above 0 that 32 bits can hold", rate)?;
        require("--lr-factor", factor > 0.0 && factor <= 1.0, "above 0 and at most 1", factor)?;
        require("--lr-patience", patience > 0, "at least 1", patience)?;
        let steps = schedule == LearningRateSchedule::Steps;
        require(
            "--lr-milestones",
            steps != milestones.0.is_empty() && !milestones.0.contains(&0),
            "epochs from 1 on, with --lr-schedule steps alone",
            milestones,
        )
    }

    /// The learning rate of an epoch, counted from 1, of `epochs` in total; `cuts` is the number of cuts by the
    /// schedule `plateau`.
    pub fn rate(&self, epoch: u32, cuts: u32, epochs: u32) -> f64 {
        let done = epoch - 1;
        let factor = |times: u32| self.factor.powf(f64::from(times));
        self.initial
            * match self.schedule {
                LearningRateSchedule::Constant => 1.0,
                LearningRateSchedule::Steps => {
                    factor(self.milestones.0.iter().filter(|milestone| **milestone <= done as usize).count() as u32)
                }
                LearningRateSchedule::Exponential => factor(done),
                LearningRateSchedule::Cosine => {
                    0.5 * (1.0 + (std::f64::consts::PI * f64::from(done) / f64::from(epochs)).cos())
                }
                LearningRateSchedule::Plateau => factor(cuts),
                LearningRateSchedule::Staircase => {
                    // 1 + 3 + ... + 3^(i-1) = (3^i - 1) / 2 epochs come before stair i.
                    let stair = (1..=7).take_while(|&stair| (3u32.pow(stair) - 1) / 2 <= done).count();
                    10f64.powf(-(stair as f64) / 7.0)
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: LearningRateSchedule, epochs: &[u32]) -> Vec<f64> {
        let milestones = Numbers(vec![3, 5]);
        let config = LearningRate { initial: 0.8, schedule, factor: 0.5, milestones, patience: 1 };
        epochs.iter().map(|epoch| config.rate(*epoch, 2, 4)).collect()
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
