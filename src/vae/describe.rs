//! Models as lists of operations.

use std::fmt::Write;

use super::Model;
use super::text::{TextDecoder, TextEncoder, TextLayers};
use crate::Error;
use crate::data::TextShape;
use crate::graph::{Graph, Value};
use crate::nn::{Layer, SequenceLayer};

impl Model {
    /// The encoder, from images to the posterior: its input, and the mean and the log variance.
    ///
    /// # Errors
    ///
    /// As [`Model::describe_seen`].
    pub(crate) fn describe_encoder(&self) -> Result<(Graph, Value, [Value; 2]), Error> {
        let mut graph = Graph::default();
        let x = graph.input("x", self.image()?.sizes());
        let seen = self.describe_seen(&mut graph, x)?;
        let posterior = self.describe_posterior(&mut graph, seen)?;
        Ok((graph, x, posterior))
    }

    /// The decoder, from latents to images: its input, the mean of the likelihood, and the outputs that it is made from.
    ///
    /// # Errors
    ///
    /// As [`Model::describe_seen`].
    pub(crate) fn describe_decoder(&self) -> Result<(Graph, Value, [Value; 2]), Error> {
        let mut graph = Graph::default();
        let z = graph.input("z", vec![self.config.latents]);
        let outputs = self.describe_outputs(&mut graph, z)?;
        let mean = self.describe_mean(&mut graph, outputs)?;
        Ok((graph, z, [mean, outputs]))
    }

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

/// A model of text in PyTorch, for a writer of modules: lines of functions whose arguments are `tokens`, `(B, T)`, the `lengths` of the
/// sentences with their ends, and `counted`, whether a position is before the end of its sentence or its end. They can use
/// `layer(name)`.
#[derive(Clone, Debug)]
pub(crate) struct TextInPytorch {
    /// From the tokens to `last`, what the encoder has read. None without latents.
    pub encode: Option<String>,
    /// The posterior of `last`.
    pub posterior: Option<(Graph, [Value; 2])>,
    /// The log probability for latents `z`.
    pub log_prob: String,
    /// The names of the tables of tokens' vectors.
    pub embeddings: Vec<String>,
}

impl Model {
    /// A model of text in PyTorch.
    pub(crate) fn text_in_pytorch(&self, shape: &TextShape) -> TextInPytorch {
        let TextLayers { encoder, decoder } = TextLayers::of(&self.config, shape);
        let posterior = encoder.as_ref().map(|encoder| {
            let mut graph = Graph::default();
            let last = graph.input("last", vec![encoder.posterior.input().len()]);
            let outputs = encoder.posterior.describe(&mut graph, last);
            let posterior = self.config.posterior.distribution().describe(&mut graph, outputs, self.config.latents);
            (graph, posterior)
        });
        let tables = encoder.iter().map(|encoder| &encoder.embedding).chain([&decoder.embedding]);
        TextInPytorch {
            encode: encoder.as_ref().map(TextEncoder::in_pytorch),
            posterior,
            embeddings: tables.map(|table| table.name().to_owned()).collect(),
            log_prob: decoder.in_pytorch(shape.vocabulary.len()),
        }
    }
}

impl TextEncoder {
    fn in_pytorch(&self) -> String {
        let (mut lines, mut parts) = (String::new(), Vec::new());
        for (number, layers) in self.directions.iter().enumerate() {
            let tokens = if number == 0 { "tokens" } else { "backwards(tokens, lengths)" };
            line(&mut lines, &format!("h = layer(\"{}\")({tokens})", self.embedding.name()));
            layers.iter().for_each(|layer| line(&mut lines, &format!("h = {}", layer.in_pytorch(None))));
            let read = if self.by_last {
                "h[torch.arange(len(h)), lengths - 1]"
            } else {
                "(h * counted.unsqueeze(2)).sum(dim=1) / lengths.unsqueeze(1)"
            };
            parts.push(format!("last{number}"));
            line(&mut lines, &format!("last{number} = {read}"));
        }
        line(&mut lines, &format!("last = torch.cat([{}], dim=1)", parts.join(", ")));
        lines
    }
}

impl TextDecoder {
    /// `beginning` is the token before the first word.
    fn in_pytorch(&self, beginning: usize) -> String {
        let mut lines = String::new();
        let tokens = format!("F.pad(tokens[:, :-1], (1, 0), value={beginning})");
        line(&mut lines, &format!("h = layer(\"{}\")({tokens})", self.embedding.name()));
        if self.latents > 0 {
            line(&mut lines, "h = torch.cat([h, z.unsqueeze(1).expand(-1, h.shape[1], -1)], dim=2)");
        }
        let of = |(index, layer): (usize, &SequenceLayer)| format!("h = {}", layer.in_pytorch(self.starts.get(index)));
        self.layers.iter().enumerate().for_each(|layer| line(&mut lines, &of(layer)));
        line(&mut lines, &format!("log_probs = layer(\"{}\")(h).log_softmax(dim=2)", self.output.name()));
        line(&mut lines, "log_probs = log_probs.gather(2, tokens.unsqueeze(2)).squeeze(2)");
        line(&mut lines, "return (log_probs * counted).sum(dim=1)");
        lines
    }
}

fn line(lines: &mut String, line: &str) {
    writeln!(lines, "{line}").expect("a text grows");
}
