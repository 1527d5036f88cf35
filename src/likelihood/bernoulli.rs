//! The Bernoulli likelihood, from logits. The twin of `shaders/likelihood/bernoulli.wgsl` and of the file below it.

use super::gradient::gradient;
use super::{Density, Levels, Support, Terms};
use crate::Error;
use crate::data::{Binarize, Images};
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::graph::{Function, Graph, Value};
use crate::nn::{Epilogue, Recording};

const LOG_PROB: Source = source!("likelihood/bernoulli.wgsl");
const MEAN: Source = source!("likelihood/bernoulli/mean.wgsl");
const PIXELS: Source = source!("likelihood/bernoulli/pixels.wgsl");

/// `p(x|z) = prod_d p_d^x_d (1 - p_d)^(1 - x_d)`, `p = sigmoid(logits)`.
#[derive(Debug)]
pub struct Bernoulli;

impl Density for Bernoulli {
    fn support(&self) -> Support {
        Support::Interval
    }

    fn is_discrete(&self) -> bool {
        true
    }

    fn levels(&self) -> Option<Box<dyn Levels>> {
        Some(Box::new(Bernoulli))
    }

    fn expected(&self) -> String {
        "pixels from 0 to 1 for bernoulli (others are for the gaussian likelihoods, or are divided with --scale)"
            .to_owned()
    }

    /// False for grey pixels.
    fn is_log_likelihood_of(&self, images: &Images, binarize: Binarize) -> bool {
        binarize != Binarize::None || images.pixels().all(|x| x == 0.0 || x == 1.0)
    }

    /// `log_prob[b] = sum_d (x * logits - softplus(logits))`: never NaN for finite logits, and finite unless the sum exceeds
    /// f32. Grey pixels, 0 < x < 1, are allowed.
    ///
    /// `output = (sigmoid(logits) - x) / rows`
    fn log_prob(&self, _: Recording<'_>, terms: Terms<'_>) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let Terms { x, output, log_prob, .. } = terms;
        let part = Part::new(LOG_PROB).size("D", x.columns());
        let part = part.fill("gradient", &gradient(terms)).bind("x", x).bind("log_prob", log_prob);
        Ok((Epilogue::new(part, [log_prob.rows(), output.columns()]), None))
    }

    /// `sigmoid(logits)`
    fn mean(&self, mean: &Tensor) -> Option<Epilogue> {
        Some(Epilogue::new(Part::new(MEAN).size("D", mean.columns()).bind("mean", mean), mean.shape()))
    }

    fn describe_mean(&self, graph: &mut Graph, outputs: Value) -> Value {
        graph.apply(Function::Sigmoid, outputs)
    }

    fn log_prob_in_pytorch(&self) -> String {
        // PyTorch's softplus is the identity beyond the threshold, by default already from 20 on.
        "return (x * outputs - F.softplus(outputs, threshold=50.0)).sum(dim=1)".to_owned()
    }

    /// The mean `sigmoid(logits)`, or a draw: 1 with that probability, or else 0.
    fn pixel(&self, _: Recording<'_>) -> Result<Part, Error> {
        Ok(Part::new(PIXELS))
    }
}
