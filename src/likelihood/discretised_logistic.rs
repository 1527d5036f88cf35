//! The logistic likelihood over the 256 levels of a byte. The twin of `shaders/likelihood/discretised_logistic.wgsl` and of
//! the file below it.

use super::gradient::gradient;
use super::{BYTE_LEVELS, Density, Levels, Support, Terms};
use crate::Error;
use crate::gpu::{Dispatch, Part, Source, source};
use crate::nn::{Epilogue, Recording};

const LOG_PROB: Source = source!("likelihood/discretised_logistic.wgsl");
const PIXELS: Source = source!("likelihood/discretised_logistic/pixels.wgsl");

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

    /// The mean `1/255 * sum_k sigmoid((mean - (k - 1/2)/255) / s)` over k = 1 .. 255, or a draw: the level nearest to
    /// `mean + s * logit(u)`.
    fn pixel(&self, _: Recording<'_>) -> Result<Part, Error> {
        Ok(Part::new(PIXELS))
    }
}
