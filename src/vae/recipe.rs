//! Recipes: the dispatches of a step in their order. Training, evaluation and inference take theirs from here, so that no
//! dispatch is forgotten.

use super::Network;
use crate::Error;
use crate::data::batch::DeviceExamples;
use crate::gpu::{Arena, Dispatch, Program, Tensor};
use crate::likelihood::Pixels;
use crate::nn::Mode;
use crate::step::Pass;

/// The dispatches of steps that do not change the parameters.
#[derive(Debug, Default)]
pub struct Recipe {
    /// They run once before the first step, and again when the parameters have changed.
    pub before: Program,
    /// They run in each step.
    pub step: Program,
}

impl Network {
    /// Records a step of training as far as the gradients: gathers a batch, and passes forward and backward.
    ///
    /// # Panics
    ///
    /// If the network was not made for training: a bug.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the examples are of another kind or size than the model's.
    pub fn training_step(
        &self,
        examples: &DeviceExamples,
        pass: &Pass,
        gradients: &Arena,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = self.gather(examples, &pass.step, &pass.order, Mode::Training)?;
        // The prior depends on parameters that every update changes.
        dispatches.extend(self.prepare()?);
        dispatches.extend(self.forward(&pass.step, Mode::Training)?);
        dispatches.extend(self.backward(&pass.step, gradients)?);
        Ok(dispatches)
    }

    /// Records a step of evaluation: gathers a batch, and passes forward as far as the objective. The caller adds
    /// [`Network::finish`] after its own dispatches.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the examples are of another kind or size than the model's.
    pub(crate) fn evaluation_step(&self, examples: &DeviceExamples, pass: &Pass) -> Result<Recipe, Error> {
        let mut recipe = self.gathered(examples, &pass.step, &pass.order)?;
        recipe.before.extend(self.prepare()?);
        recipe.step.extend(self.forward(&pass.step, Mode::Evaluation)?);
        Ok(recipe)
    }

    /// Records a step of evaluation as far as `log_prob` and `kl`. The caller adds [`Network::finish`] after its own
    /// dispatches.
    ///
    /// # Errors
    ///
    /// As [`Network::evaluation_step`].
    pub(crate) fn terms_step(&self, examples: &DeviceExamples, pass: &Pass) -> Result<Recipe, Error> {
        let mut recipe = self.gathered(examples, &pass.step, &pass.order)?;
        recipe.before.extend(self.prepare()?);
        recipe.step.extend(self.terms(&pass.step, Mode::Evaluation)?);
        Ok(recipe)
    }

    /// Records the posterior of a batch.
    ///
    /// # Errors
    ///
    /// As [`Network::evaluation_step`].
    pub(super) fn encoding_step(
        &self,
        examples: &DeviceExamples,
        step: &Tensor,
        order: &Tensor,
    ) -> Result<Recipe, Error> {
        let mut recipe = self.gathered(examples, step, order)?;
        recipe.step.extend(self.encode(step, Mode::Evaluation)?);
        Ok(recipe)
    }

    /// Records the images, `(B, D)`, of the latents in `z`.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if memory runs out.
    pub(super) fn decoding_step(&self, step: &Tensor, shown: Pixels, pixels: &Tensor) -> Result<Recipe, Error> {
        let mut recipe = Recipe::default();
        recipe.step.extend(self.decode(step, shown, pixels)?);
        Ok(recipe)
    }

    /// Records the images, `(B, D)`, of draws from the prior.
    ///
    /// # Errors
    ///
    /// As [`Network::decoding_step`].
    pub(super) fn sampling_step(&self, step: &Tensor, shown: Pixels, pixels: &Tensor) -> Result<Recipe, Error> {
        let mut recipe = self.drawing_step(step)?;
        recipe.step.extend(self.decode(step, shown, pixels)?);
        Ok(recipe)
    }

    /// Records draws from the prior into `z`.
    ///
    /// # Errors
    ///
    /// As [`Network::decoding_step`].
    pub(super) fn drawing_step(&self, step: &Tensor) -> Result<Recipe, Error> {
        let mut recipe = Recipe::default();
        recipe.before.extend(self.prepare()?);
        recipe.step.push(self.draw_prior(step)?);
        Ok(recipe)
    }

    fn gathered(&self, examples: &DeviceExamples, step: &Tensor, order: &Tensor) -> Result<Recipe, Error> {
        let mut recipe = Recipe::default();
        recipe.step.extend(self.gather(examples, step, order, Mode::Evaluation)?);
        Ok(recipe)
    }
}
