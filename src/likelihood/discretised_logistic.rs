//! The logistic likelihood over the 256 levels of a byte. The twin of `shaders/likelihood/discretised_logistic.wgsl` and of
//! the file below it.

use super::gradient::gradient;
use super::{BYTE_LEVELS, Density, Levels, Support, Terms};
use crate::Error;
use crate::gpu::{Dispatch, Part, Source, source};
use crate::graph::{Arithmetic, Function, Graph, Operation, Value};
use crate::nn::{Epilogue, Recording};

const LOG_PROB: Source = source!("likelihood/discretised_logistic.wgsl");
const PIXELS: Source = source!("likelihood/discretised_logistic/pixels.wgsl");

/// As in `shaders/lib/levels.wgsl`: what the decoder's output is added to, and the least log scale.
const LOG_SCALE_START: f32 = -std::f32::consts::LN_10;
const LOG_SCALE_MIN: f32 = -7.0;

/// The highest level.
const HIGHEST: f32 = (BYTE_LEVELS - 1) as f32;

/// A logistic density, rounded to levels. The decoder outputs a mean and a number `raw` for each dimension, which gives the
/// scale `s = exp(max(raw + log(0.1), -7))`.
///
/// # Source
///
/// Kingma et al. 2016, "Improved variational inference with inverse autoregressive flow"; Salimans et al. 2017,
/// "PixelCNN++", section 2.1.
#[derive(Debug)]
pub struct DiscretisedLogistic;

impl Density for DiscretisedLogistic {
    fn outputs_per_dimension(&self) -> usize {
        2
    }

    fn support(&self) -> Support {
        Support::Levels(BYTE_LEVELS)
    }

    fn is_discrete(&self) -> bool {
        true
    }

    fn levels(&self) -> Option<Box<dyn Levels>> {
        Some(Box::new(DiscretisedLogistic))
    }

    /// `log_prob[b] = sum_d log(F((x + 1/510 - mean) / s) - F((x - 1/510 - mean) / s))`, where `F` is the sigmoid, 0 in
    /// place of the second for the level 0, and 1 in place of the first for the level 1.
    fn log_prob(&self, _: Recording<'_>, terms: Terms<'_>) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let Terms { x, output, log_prob, .. } = terms;
        let part = Part::new(LOG_PROB).size("D", x.columns());
        let part = part.fill("gradient", &gradient(terms)).bind("x", x).bind("log_prob", log_prob);
        Ok((Epilogue::new(part, [log_prob.rows(), output.columns()]), None))
    }

    fn describe_mean(&self, graph: &mut Graph, outputs: Value) -> Value {
        let end = graph.node(outputs).shape[0];
        let [mean, raw] = [0, 1].map(|start| graph.slice(outputs, start, end, 2));
        let start = graph.number(LOG_SCALE_START);
        let log_scale = graph.combine(Arithmetic::Add, raw, start);
        let log_scale = graph.alike(Operation::Clamp(LOG_SCALE_MIN, None), log_scale);
        let scale = graph.apply(Function::Exp, log_scale);
        let [mean, scale] = [mean, scale].map(|values| graph.reshape(values, &[end / 2, 1]));
        let edges = graph.numbers((1..BYTE_LEVELS).map(|k| (k as f32 - 0.5) / HIGHEST).collect());
        let distance = graph.combine(Arithmetic::Subtract, mean, edges);
        let standard = graph.combine(Arithmetic::Divide, distance, scale);
        let above = graph.apply(Function::Sigmoid, standard);
        let (levels, highest) = (graph.sum(above), graph.number(HIGHEST));
        graph.combine(Arithmetic::Divide, levels, highest)
    }

    fn log_prob_in_pytorch(&self) -> String {
        format!(
            "mean, raw = outputs[:, 0::2], outputs[:, 1::2]\n\
             log_s = (raw + {LOG_SCALE_START:?}).clamp(min={LOG_SCALE_MIN:?})\n\
             half = 0.5 / 255.0\n\
             upper, lower = (x - mean + half) / log_s.exp(), (x - mean - half) / log_s.exp()\n\
             inside = torch.log(-torch.expm1(lower - upper)) - F.softplus(-upper) - F.softplus(lower)\n\
             log_p = torch.where(x < half, F.logsigmoid(upper), inside)\n\
             return torch.where(x > 1.0 - half, F.logsigmoid(-lower), log_p).sum(dim=1)"
        )
    }

    /// The mean `1/255 * sum_k sigmoid((mean - (k - 1/2)/255) / s)` over k = 1 .. 255, or a draw: the level nearest to
    /// `mean + s * logit(u)`.
    fn pixel(&self, _: Recording<'_>) -> Result<Part, Error> {
        Ok(Part::new(PIXELS))
    }
}
