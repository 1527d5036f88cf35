//! Models as lists of operations.

use super::Model;
use crate::Error;
use crate::graph::{Graph, Value};

impl Model {
    /// Adds to a graph what the model sees of images: rows `(B, D)`, standardised if it was trained so, but not binarised.
    ///
    /// # Shapes
    ///
    /// - `x`: `(B, height, width)`, with the channels after them unless there is one
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it is a model of text; so below.
    pub(crate) fn describe_seen(&self, graph: &mut Graph, x: Value) -> Result<Value, Error> {
        let row = graph.reshape(x, &[self.image()?.dimensions()]);
        let standardisation = self.config.standardisation.as_ref();
        Ok(standardisation.map_or(row, |standardisation| standardisation.describe(graph, row, false)))
    }

    /// Adds the posterior's mean and log variance of what the model sees, both `(B, L)`.
    ///
    /// # Errors
    ///
    /// As [`Model::describe_seen`].
    pub(crate) fn describe_posterior(&self, graph: &mut Graph, seen: Value) -> Result<[Value; 2], Error> {
        let outputs = self.encoder(self.image()?).describe(graph, seen);
        Ok(self.config.posterior.distribution().describe(graph, outputs, self.config.latents))
    }

    /// Adds the decoder's outputs, `(B, D * outputs_per_dimension)`, of latents `(B, L)`.
    ///
    /// # Errors
    ///
    /// As [`Model::describe_seen`].
    pub(crate) fn describe_outputs(&self, graph: &mut Graph, z: Value) -> Result<Value, Error> {
        let outputs = self.decoder(self.image()?).describe(graph, z);
        Ok(graph.named(outputs, "outputs"))
    }

    /// Adds the mean of the likelihood, images with the data's scale and shape, of the decoder's outputs.
    ///
    /// # Errors
    ///
    /// As [`Model::describe_seen`].
    pub(crate) fn describe_mean(&self, graph: &mut Graph, outputs: Value) -> Result<Value, Error> {
        let mut mean = self.config.likelihood.density().describe_mean(graph, outputs);
        if let Some(standardisation) = &self.config.standardisation {
            mean = standardisation.describe(graph, mean, true);
        }
        let image = graph.reshape(mean, &self.image()?.sizes());
        Ok(graph.named(image, "mean"))
    }
}
