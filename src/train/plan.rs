//! Plans: a model, its data and the configuration of its training, checked against each other once.

use crate::Error;
use crate::config::{Config, TrainingConfig};
use crate::data::{DataRef, Standardisation};
use crate::error::require;
use crate::vae::{Described, Model};

/// A training that can run, as far as this can be checked without an adapter.
///
/// ```
/// use elbo::likelihood::Likelihood;
/// use elbo::{Config, Plan};
/// # use elbo::Dataset;
/// # use elbo::data::{ImageShape, Images, Split};
///
/// # fn main() -> Result<(), elbo::Error> {
/// # let images = Images::from_floats((0..64).map(|i| i as f32 / 63.0).collect(), 4, ImageShape::grey(4, 4))?;
/// # let split = Split { images, labels: None };
/// # let data = Dataset { name: "ramp".into(), train: split.clone(), validation: None, test: split };
/// let mut config = Config::default();
/// config.training.batch_size = 4;
/// config.model.likelihood.kind = Likelihood::Categorical; // binarised pixels only, but the data are grey
/// assert!(Plan::new(&config, &data).is_err());
///
/// config.model.likelihood.kind = Likelihood::Gaussian;
/// let plan = Plan::new(&config, &data)?; // for Trainer::new
/// # let _ = plan;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub(super) model: Model,
    pub(super) config: TrainingConfig,
    pub(super) train: Described<'a>,
    /// The examples of the evaluation after each epoch.
    pub(super) held_out: Described<'a>,
    /// Whether these are the validation set, and not the test set.
    pub(super) validates: bool,
}

impl<'a> Plan<'a> {
    /// Plans the training of a fresh model.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first value that cannot work, by itself, with another one, or with the data.
    pub fn new(config: &Config, data: impl Into<DataRef<'a>>) -> Result<Plan<'a>, Error> {
        let data = data.into();
        // A model's file says what it has, not that it was chosen.
        let mut model = Model { data: data.shape(), config: config.model.clone() }.suited();
        // Choices have to fit what is given, too, as batch normalisation the batches.
        Config { model: model.config.clone(), ..config.clone() }.validate()?;
        if config.data.standardise {
            model.config.standardisation = data.train().images().map(Standardisation::of);
        }
        model.validate()?;
        Plan::of_model(model, &config.training, data)
    }

    /// The configuration of the training, with the epochs that were chosen for the data.
    pub fn training(&self) -> &TrainingConfig {
        &self.config
    }

    /// The model, with the layers that were chosen for the data.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Plans the training of a model that exists.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`]; [`Error::Argument`] if the examples are of another kind or size than the model's.
    pub fn of_model(model: Model, config: &TrainingConfig, data: impl Into<DataRef<'a>>) -> Result<Plan<'a>, Error> {
        let data = data.into();
        let (train, count) = (data.train(), data.train().count());
        config.validate()?;
        config.validate_for(count)?;
        model.config.validate_objective(&config.objective)?;
        model.check_size("training a model", train)?;
        let validates = data.validation().is_some();
        let has_validation = validates || config.patience == 0;
        require("--patience", has_validation, "--validation or data with a validation set", config.patience)?;
        let (part, held_out) = data.held_out();
        let config = TrainingConfig { epochs: Some(config.epochs_for(count)), ..config.clone() };
        Ok(Plan {
            train: model.describe("training a model", train, "training")?,
            held_out: model.describe("evaluating a model", held_out, part)?,
            model,
            config,
            validates,
        })
    }
}
