//! The configuration of a run: one struct is the flags, their defaults, their help and the saved JSON.
//!
//! Each part of a model and of its training has a configuration of its own, which is flattened here; the rules between parts are
//! here alone.

mod model;
mod settings;
mod text;

pub use model::ModelConfig;
pub use settings::{Setting, settings};
pub use text::TextConfig;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::data::DataConfig;
use crate::error::require;
use crate::objective::ObjectiveConfig;
use crate::optim::OptimiserConfig;
use crate::optim::schedule::LearningRate;

/// Everything that determines the result of a run, except the adapter.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct Config {
    /// The data.
    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataConfig,
    /// The model.
    #[command(flatten)]
    pub model: ModelConfig,
    /// How it is trained.
    #[command(flatten)]
    pub training: TrainingConfig,
}

/// The default size of a batch, and the steps that an epoch should have, so that a small data set has smaller batches.
/// Epochs of large data sets, the most of small ones, and the examples that all epochs of a small one have together.
const EPOCHS: usize = 10;
const MOST_EPOCHS: usize = 100;
const EXAMPLES: usize = 200_000;

const BATCH_SIZE: usize = 128;
const STEPS: usize = 40;
const SMALLEST_BATCH: usize = 8;

/// How a model is trained.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// Passes over the training set [default: 10, or more for fewer than 20,000 training examples: 200,000 examples in all, in up to 100
    /// passes]
    #[arg(long, value_name = "N", help_heading = "Training")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Examples per step; the last batch of an epoch may be smaller. [`TrainingConfig::shrink_batch`] suits it to small data.
    #[arg(skip = BATCH_SIZE)]
    pub batch_size: usize,
    /// Process each batch in parts of N examples, to save memory. The gradient is the same up to rounding, except that free bits,
    /// capacity and batch normalisation see one part at a time [default: as many examples as the adapter's limits allow]
    #[arg(long, value_name = "N", help_heading = "Training")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch_size: Option<usize>,
    /// The learning rate.
    #[command(flatten)]
    #[serde(flatten)]
    pub learning_rate: LearningRate,
    /// The optimiser.
    #[command(flatten)]
    #[serde(flatten)]
    pub optimiser: OptimiserConfig,
    /// In the first N epochs, update the decoder only in every 10th step, so that the encoder does not lag behind it (He et al. 2019):
    /// against latents that are not used
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Training")]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub aggressive: u32,
    /// Stop after N epochs without a new lowest loss on the validation set; 0 for never. Epochs of the KL warm-up do not count.
    /// Needs --validation, or data with a validation set
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Training")]
    #[serde(default)]
    pub patience: u32,
    /// The objective.
    #[command(flatten)]
    #[serde(flatten)]
    pub objective: ObjectiveConfig,
    /// Seed of everything random. The same seed gives the same bits on the same adapter and driver with the same kernels, which
    /// config.json records: --no-tune or --kernels choose them in a fixed way, where they are measured otherwise
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Training")]
    pub seed: u64,
}

fn is_zero(epochs: &u32) -> bool {
    *epochs == 0
}

impl Default for TrainingConfig {
    fn default() -> TrainingConfig {
        TrainingConfig {
            epochs: None,
            batch_size: BATCH_SIZE,
            micro_batch_size: None,
            learning_rate: LearningRate::default(),
            optimiser: OptimiserConfig::default(),
            aggressive: 0,
            patience: 0,
            objective: ObjectiveConfig::default(),
            seed: 0,
        }
    }
}

impl Config {
    /// Checks the values that need no data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        self.data.validate()?;
        self.model.validate()?;
        self.training.validate()?;
        let batch_size = self.training.batch_size;
        self.model.validate_batch(self.training.micro_batch_size.unwrap_or(batch_size).min(batch_size))?;
        let has_encoder = self.training.aggressive == 0 || !self.model.text.without_latents;
        require(
            "--aggressive",
            has_encoder,
            "0 with --without-latents: there is no encoder",
            self.training.aggressive,
        )?;
        self.model.validate_objective(&self.training.objective)
    }
}

impl TrainingConfig {
    /// Checks the values that need no data.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        require("--epochs", self.epochs != Some(0), "at least 1", 0)?;
        require("--batch-size", self.batch_size > 0, "at least 1", self.batch_size)?;
        let micro_batch = self.micro_batch_size.unwrap_or(1);
        require("--micro-batch-size", micro_batch > 0, "at least 1", micro_batch)?;
        self.learning_rate.validate()?;
        self.optimiser.validate()?;
        self.objective.validate()
    }

    /// The number of epochs for a number of training examples: fewer examples are passed over more often.
    pub fn epochs_for(&self, examples: usize) -> u32 {
        self.epochs.unwrap_or_else(|| EXAMPLES.div_ceil(examples.max(1)).clamp(EPOCHS, MOST_EPOCHS) as u32)
    }

    /// Makes batches smaller if there are few training examples, so that an epoch has at least 40 steps: the
    /// size is then a power of two, and at least 8 if there are as many examples. Returns whether it did.
    pub fn shrink_batch(&mut self, examples: usize) -> bool {
        let steps = examples / STEPS;
        if steps >= self.batch_size {
            return false;
        }
        let power = steps.checked_ilog2().map_or(1, |power| 1 << power);
        self.batch_size = power.max(SMALLEST_BATCH).min(examples);
        true
    }

    /// Checks what depends on the number of training examples: the batch is not larger, and the number of steps fits 32
    /// bits.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if not.
    pub fn validate_for(&self, examples: usize) -> Result<(), Error> {
        let expected = format!("at most the {examples} training examples");
        require("--batch-size", self.batch_size <= examples, &expected, self.batch_size)?;
        let most = u32::MAX / examples.div_ceil(self.batch_size) as u32;
        let epochs = self.epochs_for(examples);
        require("--epochs", epochs <= most, &format!("at most {most}, so that steps fit 32 bits"), epochs)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    fn parse(flags: &[&str]) -> Config {
        Flags::parse_from([&["elbo"], flags].concat()).config
    }

    #[test]
    fn the_flags_and_the_library_have_the_same_defaults() {
        assert_eq!(parse(&[]), Config::default());
    }

    #[test]
    fn a_config_survives_json() -> Result<(), serde_json::Error> {
        let flags = ["--hidden", "512,256", "--lr", "0.0003", "--seed", "18446744073709551615", "--activation", "gelu"];
        let config = parse(&flags);
        assert_eq!(serde_json::from_str::<Config>(&serde_json::to_string(&config)?)?, config);
        Ok(())
    }

    #[test]
    fn the_keys_of_the_json_are_those_of_older_files() {
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        let flags = ["--hidden", "400", "--epochs", "10", "--normalise", "none", "--logvar-range", "-6,2"];
        let json = serde_json::to_value(parse(&flags)).unwrap();
        let model =
            "activation binarize categories components hidden latents likelihood logvar_range normalise prior variance";
        assert_eq!(keys(&json["model"]), model);
        let training = "batch_size beta1 beta2 capacity capacity_warmup epochs epsilon free_bits kl kl_warmup kl_warmup_steps \
                        kl_weight learning_rate learning_rate_factor learning_rate_milestones learning_rate_patience \
                        learning_rate_schedule objective patience samples seed";
        assert_eq!(keys(&json["training"]), training);
        // Written by the first version.
        let old = r#"{"data": "mnist",
            "model": {"hidden": [400], "latents": 20, "activation": "relu", "likelihood": "bernoulli", "variance": 0.1},
            "training": {"epochs": 10, "batch_size": 128, "learning_rate": 0.001, "kl_weight": 1.0, "kl_warmup": 0, "seed": 0}}"#;
        assert_eq!(serde_json::from_str::<Config>(old).unwrap(), parse(&flags[..4]));
    }

    #[test]
    fn the_default_batch_shrinks_for_few_examples() {
        let shrunk = |examples| {
            let mut config = TrainingConfig::default();
            (config.shrink_batch(examples), config.batch_size)
        };
        assert_eq!([5120, 5119, 2560, 100, 9, 3].map(shrunk).map(|(_, size)| size), [128, 64, 64, 8, 8, 3]);
        assert_eq!([5120, 5119].map(shrunk).map(|(did, _)| did), [false, true]);
    }

    #[test]
    fn few_examples_are_passed_over_more_often() {
        let epochs = |examples| TrainingConfig::default().epochs_for(examples);
        assert_eq!([60_000, 20_000, 10_000, 3_421, 1_000, 0].map(epochs), [10, 10, 20, 59, 100, 100]);
        assert_eq!(TrainingConfig { epochs: Some(3), ..TrainingConfig::default() }.epochs_for(1_000), 3);
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        let cases = [
            ("--latents", "0"),
            ("--hidden", "400,0"),
            ("--epochs", "0"),
            ("--lr", "-0.001"),
            ("--lr", "inf"),
            ("--lr", "1e-46"),
            ("--lr", "1e300"),
            ("--validation-seed", "3"),
            ("--kl-weight", "NaN"),
            ("--kl-weight", "-1"),
            ("--variance", "0"),
            ("--categories", "1"),
            ("--categories", "257"),
            ("--components", "0"),
            ("--components", "65537"),
            ("--scale", "0"),
        ];
        for (flag, value) in cases {
            let error = parse(&[flag, value]).validate().expect_err(flag);
            assert!(error.to_string().starts_with(&format!("{flag}: expected ")), "{error}");
        }
        for schedule in [&["--lr-schedule", "steps"][..], &["--lr-milestones", "3"]] {
            let error = parse(schedule).validate().expect_err("both or none").to_string();
            assert!(error.starts_with("--lr-milestones: expected "), "{error}");
        }
        assert!(Flags::try_parse_from(["elbo", "--kl-warmup", "1", "--kl-warmup-steps", "1"]).is_err());
        let error = parse(&["--prior", "mixture", "--objective", "free-bits"]).validate().expect_err("free bits");
        assert!(error.to_string().starts_with("--objective: expected "), "{error}");
        let error =
            parse(&["--prior", "vamp-prior", "--normalise", "layer"]).validate().expect_err("not both").to_string();
        assert_eq!(error, "--normalise: expected none with --prior vamp-prior, found layer");
        let empty = TrainingConfig { batch_size: 0, ..TrainingConfig::default() };
        assert!(empty.validate().expect_err("empty").to_string().starts_with("--batch-size: expected "));
        let error = TrainingConfig::default().validate_for(100).expect_err("too large").to_string();
        assert!(error.contains("100") && error.contains("128"), "{error}");
    }
}
