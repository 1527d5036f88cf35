//! The configuration of a run: its options, and where it was begun.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::{Config, Setting, settings};
use crate::error::require;
use crate::gpu::{AdapterSummary, KernelTable};

/// `config.json`: everything that is needed to repeat a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunConfig {
    /// The version of Elbo that began the run.
    pub version: String,
    /// The options.
    #[serde(flatten)]
    pub config: Config,
    /// What is written beside the model.
    #[serde(flatten)]
    pub output: OutputConfig,
    /// The adapter and its driver; none for a model that another program trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterSummary>,
    /// The kernel of each product of matrices; a resumed run uses the same kernels, and so gives the same bits.
    pub kernels: KernelTable,
}

impl RunConfig {
    /// All options of the run, in the order of `elbo train --help`.
    pub fn settings(&self) -> Vec<Setting> {
        all_settings(&self.config, &self.output)
    }

    /// Checks that options are those of this run, which goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the first that differs.
    pub fn require_same(&self, config: &Config, output: &OutputConfig) -> Result<(), Error> {
        let pairs = self.settings().into_iter().zip(all_settings(config, output));
        let different = pairs.into_iter().find(|(saved, given)| saved.value != given.value);
        different.map_or(Ok(()), |(saved, given)| {
            let value =
                |setting: &Setting| if setting.value.is_empty() { "none".to_owned() } else { setting.value.clone() };
            Err(Error::Config {
                option: "--resume",
                expected: format!("the settings of the run that is there, {} {}", saved.option, value(&saved)),
                found: format!("{}: give the same options, or another --out for a new run", value(&given)),
            })
        })
    }

    /// The command that trains such a model again, for a shell.
    pub fn command(&self) -> String {
        let words = self.settings().iter().flat_map(Setting::words).map(|word| quoted(&word)).collect::<Vec<_>>();
        ["elbo train".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// The options of a configuration and of its output.
fn all_settings(config: &Config, output: &OutputConfig) -> Vec<Setting> {
    // The library has no flag for it, and its default depends on the data.
    let batch_size = Setting {
        option: "--batch-size".to_owned(),
        value: config.training.batch_size.to_string(),
        is_default: false,
        heading: "Training".to_owned(),
        help: "Examples per step; the last batch of an epoch may be smaller".to_owned(),
    };
    [settings(config), vec![batch_size], settings(output)].concat()
}

/// A word as a shell has to read it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What a training writes beside the model.
#[derive(Clone, Copy, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputConfig {
    /// Write pictures or sentences, samples and reconstructions, after every N-th epoch, and after the last one; 0 for the last one only
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Output")]
    pub pictures_every: u32,
    /// Write a checkpoint at least every N minutes, beside that after each epoch; 0 for after epochs only
    #[arg(long, value_name = "N", default_value_t = MINUTES, allow_negative_numbers = true, help_heading = "Output")]
    pub checkpoint_minutes: f64,
    /// Keep the checkpoints of the last N epochs, in checkpoints/, for `elbo resume --from`
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Output")]
    pub keep: u32,
    /// Write what TensorBoard shows, in tensorboard/: terms, gradients, pictures, by epoch; `tensorboard --logdir runs` shows all runs
    #[arg(long, help_heading = "Output")]
    pub tensorboard: bool,
}

/// The default time between two checkpoints.
const MINUTES: f64 = 10.0;

impl Default for OutputConfig {
    fn default() -> OutputConfig {
        OutputConfig { pictures_every: 1, checkpoint_minutes: MINUTES, keep: 0, tensorboard: false }
    }
}

impl OutputConfig {
    /// The longest time between two checkpoints, if there is one.
    pub fn checkpoint_interval(self) -> Option<Duration> {
        (self.checkpoint_minutes > 0.0).then(|| Duration::from_secs_f64(60.0 * self.checkpoint_minutes))
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first that cannot work.
    pub fn validate(self) -> Result<(), Error> {
        let minutes = self.checkpoint_minutes;
        require("--checkpoint-minutes", (0.0..=1e6).contains(&minutes), "a number from 0 to 1000000", minutes)
    }

    /// Whether an epoch, counted from 1, has pictures.
    pub fn has_pictures(self, epoch: u32, is_last: bool) -> bool {
        is_last || (self.pictures_every > 0 && epoch.is_multiple_of(self.pictures_every))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_at_intervals_and_at_the_end() {
        for (pictures_every, epochs) in [(1, &[1, 2, 3, 4, 5][..]), (2, &[2, 4, 5]), (7, &[5]), (0, &[5])] {
            let output = OutputConfig { pictures_every, ..OutputConfig::default() };
            let found: Vec<u32> = (1..=5).filter(|epoch| output.has_pictures(*epoch, *epoch == 5)).collect();
            assert_eq!(found, epochs);
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        let words = ["--lr", "0.1", "a b", "it's", "$x", "", "conv32k4s2,200", "/data/x.npz"].map(quoted);
        assert_eq!(words, ["--lr", "0.1", "'a b'", r"'it'\''s'", "'$x'", "''", "conv32k4s2,200", "/data/x.npz"]);
    }

    #[test]
    fn older_runs_have_pictures_of_every_epoch() {
        let output: OutputConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(output, OutputConfig::default());
    }
}
