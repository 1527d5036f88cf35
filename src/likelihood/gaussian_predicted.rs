//! The Gaussian likelihood whose variances are outputs of the decoder. The twin of
//! `shaders/likelihood/gaussian_predicted.wgsl` and of the file below it.

use super::gradient::gradient;
use super::{Density, Support, Terms};
use crate::Error;
use crate::gpu::{Dispatch, Part, Source, source};
use crate::graph::{Graph, Value};
use crate::nn::{Epilogue, Recording};

const LOG_PROB: Source = source!("likelihood/gaussian_predicted.wgsl");
const PIXELS: Source = source!("likelihood/gaussian_predicted/pixels.wgsl");

/// The variance stays above this: otherwise a pixel that never changes would drive the density to infinity.
pub const VARIANCE_FLOOR: f64 = 1e-4;

/// `p(x|z) = prod_d N(x_d; mean_d, exp(logvar_d))`, `logvar = log(1e-4) + softplus(raw + shift)`, which is `log(variance)`
/// where `raw` is 0. The decoder outputs a mean and a number `raw` for each dimension.
#[derive(Debug)]
pub struct GaussianPredicted {
    /// The variance where `raw` is 0.
    pub variance: f32,
}

impl GaussianPredicted {
    fn shift(&self) -> f64 {
        (f64::from(self.variance) / VARIANCE_FLOOR - 1.0).ln()
    }

    /// A part with the floor of the log variance, and the shift.
    fn part(&self, source: Source) -> Part {
        Part::new(source).set("LOGVAR_FLOOR", VARIANCE_FLOOR.ln()).set("SHIFT", self.shift())
    }
}

impl Density for GaussianPredicted {
    fn outputs_per_dimension(&self) -> usize {
        2
    }

    fn support(&self) -> Support {
        Support::Line
    }

    fn is_discrete(&self) -> bool {
        false
    }

    /// `log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`
    fn log_prob(&self, _: Recording<'_>, terms: Terms<'_>) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let Terms { x, output, log_prob, .. } = terms;
        let part = self.part(LOG_PROB).size("D", x.columns());
        let part = part.fill("gradient", &gradient(terms)).bind("x", x).bind("log_prob", log_prob);
        Ok((Epilogue::new(part, [log_prob.rows(), output.columns()]), None))
    }

    fn describe_mean(&self, graph: &mut Graph, outputs: Value) -> Value {
        let end = graph.node(outputs).shape[0];
        graph.slice(outputs, 0, end, 2)
    }

    fn log_prob_in_pytorch(&self) -> String {
        let (floor, shift) = (VARIANCE_FLOOR.ln(), self.shift());
        format!(
            "mean, raw = outputs[:, 0::2], outputs[:, 1::2]\n\
             logvar = {floor:?} + F.softplus(raw + {shift:?}, threshold=50.0)\n\
             return normal_log_prob(x, mean, logvar).sum(dim=1)"
        )
    }

    /// The mean, or a draw: `mean + exp(logvar / 2) * noise`.
    fn pixel(&self, _: Recording<'_>) -> Result<Part, Error> {
        Ok(self.part(PIXELS))
    }
}
