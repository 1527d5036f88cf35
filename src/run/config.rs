//! The configuration of a run: its options, and where it was begun.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
use crate::config::Config;
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
    /// The options by their names in `config.json`, such as `training.learning_rate`.
    pub fn settings(&self) -> BTreeMap<String, String> {
        settings(&self.config, &self.output)
    }

    /// Checks that options are those of this run, which goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the first that differs.
    pub fn require_same(&self, config: &Config, output: &OutputConfig) -> Result<(), Error> {
        let (saved, given) = (self.settings(), settings(config, output));
        let of = |settings: &BTreeMap<String, String>, key| settings.get(key).map_or("none".to_owned(), Clone::clone);
        match saved.keys().chain(given.keys()).find(|key| saved.get(*key) != given.get(*key)) {
            None => Ok(()),
            Some(key) => Err(Error::Config {
                option: "--resume",
                expected: format!("the settings of the run that is there, {key} = {}", of(&saved, key)),
                found: format!("{}: give the same options, or another --out for a new run", of(&given, key)),
            }),
        }
    }
}

/// The options by their names in `config.json`.
fn settings(config: &Config, output: &OutputConfig) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for part in [serde_json::to_value(config), serde_json::to_value(output)] {
        flatten("", &part.expect("options are JSON"), &mut found);
    }
    found
}

fn flatten(name: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            let separator = if name.is_empty() { "" } else { "." };
            flatten(&format!("{name}{separator}{key}"), value, found);
        }),
        leaf => {
            let text = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
            found.insert(name.to_owned(), text);
        }
    }
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
    fn older_runs_have_pictures_of_every_epoch() {
        let output: OutputConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(output, OutputConfig::default());
    }
}
