//! The Gaussian likelihood whose variances are not outputs of the decoder, but fixed or learned: one for all
//! dimensions, or one for each. The twin of `shaders/likelihood/gaussian.wgsl` and of the files below it.

use super::gradient::gradient;
use super::{Density, Support, Terms};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Part, Source, Tensor, source};
use crate::graph::{Graph, Value};
use crate::nn::{Epilogue, Init, ParameterSpec, Recording, Role};

const LOG_PROB: Source = source!("likelihood/gaussian.wgsl");
const LOGVAR: Source = source!("likelihood/gaussian/logvar.wgsl");
const LOGVAR_PER_DIMENSION: Source = source!("likelihood/gaussian/logvar/per_dimension.wgsl");
const PIXELS: Source = source!("likelihood/gaussian/pixels.wgsl");

/// The name of the parameter.
const PARAMETER: &str = "likelihood.logvar";

/// `p(x|z) = prod_d N(x_d; mean_d, exp(logvar_d))`
#[derive(Debug)]
pub struct Gaussian {
    /// The variance, or its initial value.
    pub variance: f32,
    /// Whether and how it is learned.
    pub kind: Variance,
}

/// The kinds of variances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variance {
    /// One for all dimensions, fixed.
    Fixed,
    /// One for all dimensions, learned.
    Shared,
    /// One for each dimension, learned.
    PerDimension,
}

impl Gaussian {
    fn is_per_dimension(&self) -> bool {
        self.kind == Variance::PerDimension
    }

    /// The log variances, `(1)` or `(D)`.
    fn logvar(&self, recording: Recording<'_>) -> Result<Tensor, Error> {
        match self.kind {
            Variance::Fixed => Tensor::from_values(recording.at.gpu, 1, 1, &[self.variance.ln()]),
            Variance::Shared | Variance::PerDimension => Ok(recording.parameters.get(PARAMETER)),
        }
    }
}

impl Density for Gaussian {
    fn support(&self) -> Support {
        Support::Line
    }

    fn is_discrete(&self) -> bool {
        false
    }

    fn parameter(&self, dimensions: usize) -> Option<ParameterSpec> {
        let columns = match self.kind {
            Variance::Fixed => return None,
            Variance::Shared => 1,
            Variance::PerDimension => dimensions,
        };
        let (name, init) = (PARAMETER.to_owned(), Init::Constant(self.variance.ln()));
        Some(ParameterSpec { name, shape: vec![columns], role: Role::Scale, init })
    }

    /// `log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar_d + (x - mean)^2 * exp(-logvar_d))`
    ///
    /// `output = (mean - x) * exp(-logvar_d) / rows`
    fn log_prob(&self, recording: Recording<'_>, terms: Terms<'_>) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let Terms { x, output, log_prob, .. } = terms;
        let part = Part::new(LOG_PROB)
            .size("D", x.columns())
            .flag("PER_DIMENSION", self.is_per_dimension())
            .bind("x", x)
            .bind("logvar", &self.logvar(recording)?)
            .bind("log_prob", log_prob)
            .fill("gradient", &gradient(terms));
        Ok((Epilogue::new(part, [log_prob.rows(), output.columns()]), None))
    }

    /// `dlogvar[d] = 1/2 * sum_row w[row] * (1 - (x - mean)^2 * exp(-logvar[d]))`, summed over the dimensions if they
    /// share one log variance. The objective gives the weight `w` to the row.
    fn backward(
        &self,
        recording: Recording<'_>,
        terms: Terms<'_>,
        objective: &Part,
        gradients: &Arena,
    ) -> Result<Option<Dispatch>, Error> {
        if self.kind == Variance::Fixed {
            return Ok(None);
        }
        let source = if self.is_per_dimension() { LOGVAR_PER_DIMENSION } else { LOGVAR };
        let part = Part::new(source)
            .size("D", terms.x.columns())
            .fill("objective", objective)
            .bind("logvar", &self.logvar(recording)?)
            .bind("dlogvar", &gradients.get(PARAMETER));
        let (part, groups) = match self.is_per_dimension() {
            // A workgroup for each quad of dimensions.
            true => (part.bind("output", terms.output), terms.output.stride() / 4),
            false => (part.bind("log_prob", terms.log_prob), 1),
        };
        recording.launch(part, "backward")?.over_groups([groups, 1, 1]).map(Some)
    }

    /// The outputs are the means.
    fn mean(&self, mean: &Tensor) -> Option<Epilogue> {
        Some(Epilogue::store(mean))
    }

    fn describe_mean(&self, _: &mut Graph, outputs: Value) -> Value {
        outputs
    }

    fn log_prob_in_pytorch(&self) -> String {
        let logvar = match self.kind {
            Variance::Fixed => format!("torch.tensor({:?})", self.variance.ln()),
            Variance::Shared | Variance::PerDimension => format!("parameter(\"{PARAMETER}\")"),
        };
        format!("return normal_log_prob(x, outputs, {logvar}).sum(dim=1)")
    }

    /// The mean, or a draw: `mean + exp(logvar / 2) * noise`.
    fn pixel(&self, recording: Recording<'_>) -> Result<Part, Error> {
        let part = Part::new(PIXELS).flag("PER_DIMENSION", self.is_per_dimension());
        Ok(part.bind("logvar", &self.logvar(recording)?))
    }
}
