//! Normalisation between a layer's product and its activation. The twin of `shaders/nn/normalise/`.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::exact::{ExactNorm, HostParameters};
use super::{Epilogue, Init, Mode, ParameterSpec, Recording, Role};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Source, Tensor, source};
use crate::graph::{Graph, Operation, Value};

const BATCH: Source = source!("nn/normalise/batch.wgsl");
const BATCH_EVALUATE: Source = source!("nn/normalise/batch/evaluate.wgsl");
const BATCH_BACKWARD: Source = source!("nn/normalise/batch/backward.wgsl");
const LAYER: Source = source!("nn/normalise/layer.wgsl");
const LAYER_BACKWARD: Source = source!("nn/normalise/layer/backward.wgsl");
const LAYER_PARAMETERS: Source = source!("nn/normalise/layer/parameters.wgsl");

/// The normalisation of a hidden layer's product before its activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// No normalisation
    #[default]
    None,
    /// Each unit is normalised over the batch; in evaluation, with running statistics
    Batch,
    /// Each example is normalised over the layer's units
    Layer,
}

impl NormKind {
    /// The normalisation of a layer of `width` columns, if there is one; its parameters are called `name.norm`.
    pub(crate) fn of_layer(self, name: &str, width: usize) -> Option<Norm> {
        let over = match self {
            NormKind::None => return None,
            NormKind::Batch => Over::Batch,
            NormKind::Layer => Over::Layer,
        };
        Some(Norm { over, name: format!("{name}.norm"), width })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Batch,
    Layer,
}

/// The normalisation of a product of `W` columns.
///
/// All its parameters are one matrix with the rows scale, shift and, over the batch, running mean and running variance.
/// The last two have the role [`Role::Statistic`]: their gradients are zero, and an optimiser leaves them as they are.
/// They are part of the matrix so that a model's files contain them.
///
/// # Source
///
/// Ioffe & Szegedy 2015, Algorithm 1; Ba et al. 2016, equation 4. Epsilon and momentum are PyTorch's.
#[derive(Clone, Debug)]
pub struct Norm {
    over: Over,
    name: String,
    width: usize,
}

/// The values of one batch that a normalisation keeps for the backward pass.
#[derive(Debug)]
pub struct NormValues {
    /// Its input, `(B, W)`.
    pub pre: Tensor,
    /// Over the batch `(2, W)`: the means and the inverse standard deviations. Over the layer the same as `(B, 2)`.
    pub statistics: Tensor,
}

impl Norm {
    /// The parameter: `(4, W)` over the batch, `(2, W)` over the layer. Its initial values change nothing.
    pub fn parameter(&self) -> ParameterSpec {
        let (rows, roles): (&[f32], &[Role]) = match self.over {
            Over::Batch => (&[1.0, 0.0, 0.0, 1.0], &[Role::Scale, Role::Bias, Role::Statistic, Role::Statistic]),
            Over::Layer => (&[1.0, 0.0], &[Role::Scale, Role::Bias]),
        };
        let (role, init) = (Role::Rows(roles), Init::Rows(rows));
        ParameterSpec { name: self.name.clone(), shape: vec![rows.len(), self.width], role, init }
    }

    /// The normalisation on the CPU, as in evaluation.
    pub(super) fn exact(&self, parameters: &HostParameters) -> ExactNorm {
        ExactNorm::new(parameters.get(&self.name), self.width)
    }

    /// Adds the normalisation to a graph, as in evaluation.
    pub(super) fn describe(&self, graph: &mut Graph, input: Value) -> Value {
        let parameter = self.name.clone();
        let operation = match self.over {
            Over::Batch => Operation::BatchNorm { parameter },
            Over::Layer => Operation::LayerNorm { parameter },
        };
        graph.alike(operation, input)
    }

    /// Makes the tensors for batches of up to `rows` rows.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn values(&self, gpu: &Gpu, rows: usize) -> Result<NormValues, Error> {
        let statistics = match self.over {
            Over::Batch => Tensor::zeros(gpu, 2, self.width)?,
            Over::Layer => Tensor::zeros(gpu, rows, 2)?,
        };
        Ok(NormValues { pre: Tensor::zeros(gpu, rows, self.width)?, statistics })
    }

    /// Records the normalisation. The epilogue decides what happens to the result.
    ///
    /// `result[b, c] = scale[c] * (pre[b, c] - mean) / sqrt(variance + 1e-5) + shift[c]`, with the mean and the biased
    /// variance of column `c` over the batch, or those of row `b` over the layer. Over the batch, training also moves
    /// the running statistics a tenth of the way to the batch's (with the unbiased variance), and evaluation uses the
    /// running statistics instead of the batch's.
    ///
    /// # Shapes
    ///
    /// - the epilogue's result: `(B, W)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it has another shape.
    pub fn forward(&self, recording: Recording<'_>, values: &NormValues, result: &Epilogue) -> Result<Dispatch, Error> {
        self.check("normalisation", values, [result.rows, result.columns])?;
        let norm = recording.parameters.get(&self.name);
        let part =
            |source| self.part(source).fill("epilogue", &result.part).bind("pre", &values.pre).bind("norm", &norm);
        let (quads, statistics) = (values.pre.stride() / 4, &values.statistics);
        match (self.over, recording.mode) {
            (Over::Batch, Mode::Training) => {
                recording.launch(part(BATCH).bind("statistics", statistics), "forward")?.over([quads, 1, 1])
            }
            (Over::Batch, Mode::Evaluation) => {
                recording.launch(part(BATCH_EVALUATE), "evaluate")?.over([quads, result.rows, 1])
            }
            (Over::Layer, _) => {
                recording.launch(part(LAYER).bind("statistics", statistics), "forward")?.over([result.rows, 1, 1])
            }
        }
    }

    /// Records the gradients of training: with respect to the parameters, and with respect to the input. The latter
    /// replaces `gradient`, which is the gradient with respect to the result.
    ///
    /// With `g` for the gradient times scale, and `xhat` for the result before scale and shift,
    /// `dpre = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(variance + 1e-5)`, with means over the axis of the
    /// normalisation; `dscale[c] = sum_b gradient[b, c] * xhat[b, c]`, `dshift[c] = sum_b gradient[b, c]`.
    ///
    /// # Shapes
    ///
    /// - `gradient`: `(B, W)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it has another shape.
    pub fn backward(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        values: &NormValues,
        gradient: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        self.check("normalisation's gradient", values, [gradient.rows(), gradient.columns()])?;
        let (norm, dnorm) = (recording.parameters.get(&self.name), gradients.get(&self.name));
        let part = |source| {
            let part = self.part(source).bind("pre", &values.pre);
            part.bind("statistics", &values.statistics).bind("gradient", gradient)
        };
        let (columns, rows) = ([gradient.stride() / 4, 1, 1], [gradient.rows(), 1, 1]);
        Ok(match self.over {
            Over::Batch => {
                let part = part(BATCH_BACKWARD).bind("norm", &norm).bind("dnorm", &dnorm);
                vec![recording.launch(part, "backward")?.over(columns)?]
            }
            // The gradients of the parameters come first: they need `gradient` before it is replaced.
            Over::Layer => vec![
                recording.launch(part(LAYER_PARAMETERS).bind("dnorm", &dnorm), "backward_parameters")?.over(columns)?,
                recording.launch(part(LAYER_BACKWARD).bind("norm", &norm), "backward")?.over(rows)?,
            ],
        })
    }

    /// The values that all kernels need.
    fn part(&self, source: Source) -> Part {
        Part::new(source).size("WIDTH", self.width)
    }

    fn check(&self, operation: &'static str, values: &NormValues, found: [usize; 2]) -> Result<(), Error> {
        require_shapes(operation, [[values.pre.rows(), self.width]], [found])
    }
}
