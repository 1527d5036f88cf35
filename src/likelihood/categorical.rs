//! The categorical likelihood over evenly spaced levels. The twin of `shaders/likelihood/categorical.wgsl` and of the file
//! below it.

use super::{BYTE_LEVELS, Density, Levels, Support, Terms};
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, source};
use crate::graph::{Arithmetic, Function, Graph, Value};
use crate::nn::{Epilogue, Recording};

const LOG_PROB: Source = source!("likelihood/categorical.wgsl");
const PIXELS: Source = source!("likelihood/categorical/pixels.wgsl");

/// A probability for each of `C` levels, `softmax(logits)`. The decoder outputs `C` logits for each dimension.
#[derive(Debug)]
pub struct Categorical {
    /// The number of levels, C.
    pub categories: usize,
}

impl Categorical {
    fn part(&self, source: Source) -> Part {
        Part::new(source).size("CATEGORIES", self.categories)
    }
}

impl Density for Categorical {
    fn outputs_per_dimension(&self) -> usize {
        self.categories
    }

    fn support(&self) -> Support {
        Support::Levels(self.categories)
    }

    fn is_discrete(&self) -> bool {
        true
    }

    fn levels(&self) -> Option<Box<dyn Levels>> {
        Some(Box::new(Categorical { categories: self.categories }))
    }

    fn expected(&self) -> String {
        let (categories, highest) = (self.categories, self.categories - 1);
        if categories == BYTE_LEVELS {
            return self.support().expected();
        }
        format!(
            "levels k/{highest} for categorical with --categories {categories} (grey bytes take --categories 256, or \
             --binarize threshold)"
        )
    }

    fn stores_output(&self) -> bool {
        true
    }

    /// Each dimension has a partial sum.
    fn partial_sums(&self, _: &Gpu, dimensions: usize) -> Result<usize, Error> {
        Ok(dimensions)
    }

    /// `log_prob[b, d] = logits[b, d, k] - log sum_c exp(logits[b, d, c])` for `k = (C - 1) x`
    ///
    /// `output = (softmax(logits) - onehot(k)) / rows`
    fn log_prob(&self, recording: Recording<'_>, terms: Terms<'_>) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let Terms { x, output, log_prob, .. } = terms;
        let part = self.part(LOG_PROB).size("D", x.columns());
        let part = part.bind("x", x).bind("output", output).bind("log_prob", log_prob);
        let after = recording.launch(part, "evaluate")?.over([x.columns(), output.rows(), 1])?;
        Ok((Epilogue::store(output), Some(after)))
    }

    fn describe_mean(&self, graph: &mut Graph, outputs: Value) -> Value {
        let (categories, highest) = (self.categories, (self.categories - 1) as f32);
        let end = graph.node(outputs).shape[0];
        let logits = graph.reshape(outputs, &[end / categories, categories]);
        let probabilities = graph.apply(Function::Softmax, logits);
        let levels = graph.numbers((0..categories).map(|level| level as f32 / highest).collect());
        let weighted = graph.combine(Arithmetic::Multiply, probabilities, levels);
        graph.sum(weighted)
    }

    fn log_prob_in_pytorch(&self) -> String {
        let (categories, highest) = (self.categories, self.categories - 1);
        format!(
            "log_probs = outputs.unflatten(1, (-1, {categories})).log_softmax(dim=2)\n\
             level = ({highest} * x).round().long()\n\
             return log_probs.gather(2, level.unsqueeze(2)).sum(dim=(1, 2))"
        )
    }

    /// The mean `sum_c softmax(logits)[c] * c / (C - 1)`, or a draw, by the inverse of the cumulative distribution.
    fn pixel(&self, _: Recording<'_>) -> Result<Part, Error> {
        Ok(self.part(PIXELS))
    }
}
