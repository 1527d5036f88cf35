//! Normalisation between a layer's product and its activation. The twin of `shaders/nn/normalise/`.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Epilogue, Init, Mode, ParameterSpec, Recording};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Source, Tensor, source};

const BATCH: Source = source!("nn/normalise/batch.wgsl");
const BATCH_EVALUATE: Source = source!("nn/normalise/batch/evaluate.wgsl");
const BATCH_BACKWARD: Source = source!("nn/normalise/batch/backward.wgsl");
const LAYER: Source = source!("nn/normalise/layer.wgsl");
const LAYER_BACKWARD: Source = source!("nn/normalise/layer/backward.wgsl");
const LAYER_PARAMETERS: Source = source!("nn/normalise/layer/parameters.wgsl");

/// What becomes of a hidden layer's product before its activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Nothing
    #[default]
    None,
    /// Each unit is normalised over the batch, and by running statistics once it is trained
    Batch,
    /// Each example is normalised over the layer's units
    Layer,
}

impl Normalise {
    /// The normalisation of a layer of `width` columns, if there is one; its parameters are called `name.norm`.
    pub(crate) fn of_layer(self, name: &str, width: usize) -> Option<Normalisation> {
        let over = match self {
            Normalise::None => return None,
            Normalise::Batch => Over::Batch,
            Normalise::Layer => Over::Layer,
        };
        Some(Normalisation { over, name: format!("{name}.norm"), width })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Batch,
    Layer,
}

/// The normalisation of a product of `W` columns.
///
/// All its parameters are one matrix: the rows scale and shift and, over the batch, running mean and running variance. The
/// latter two are no parameters to the optimiser, whose gradients for them are zero; they lie there so that a model's files
/// hold them.
///
/// # Source
///
/// Ioffe & Szegedy 2015, Algorithm 1; Ba et al. 2016, equation 4. Epsilon and momentum are PyTorch's.
#[derive(Clone, Debug)]
pub struct Normalisation {
    over: Over,
    name: String,
    width: usize,
}

/// What a normalisation keeps of one batch for the backward pass.
pub struct Normalised {
    /// What it is given, `(B, W)`.
    pub pre: Tensor,
    /// Over the batch `(2, W)`: the means and the inverse standard deviations. Over the layer the same as `(B, 2)`.
    pub statistics: Tensor,
}

impl Normalisation {
    /// The parameters: `(4, W)` over the batch, `(2, W)` over the layer. They start as what changes nothing.
    pub fn parameters(&self) -> ParameterSpec {
        let rows: &[f32] = match self.over {
            Over::Batch => &[1.0, 0.0, 0.0, 1.0],
            Over::Layer => &[1.0, 0.0],
        };
        let init = Init::Rows(rows);
        ParameterSpec { name: self.name.clone(), rows: Some(rows.len()), columns: self.width, init }
    }

    /// Makes the tensors for batches of up to `rows` rows.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn normalised(&self, gpu: &Gpu, rows: usize) -> Result<Normalised, Error> {
        let statistics = match self.over {
            Over::Batch => Tensor::zeros(gpu, 2, self.width)?,
            Over::Layer => Tensor::zeros(gpu, rows, 2)?,
        };
        Ok(Normalised { pre: Tensor::zeros(gpu, rows, self.width)?, statistics })
    }

    /// Records the normalisation; what becomes of its result is up to the epilogue.
    ///
    /// `result[b, c] = scale[c] * (pre[b, c] - mean) / sqrt(variance + 1e-5) + shift[c]`, with the mean and the biased
    /// variance of column `c` over the batch, or those of row `b` over the layer. Over the batch, training also moves the
    /// running statistics a tenth of the way to the batch's (of the variance, the unbiased one), and evaluation takes the
    /// running statistics for the batch's.
    ///
    /// # Shapes
    ///
    /// - the epilogue's result: `(B, W)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if it has another shape.
    pub fn forward(&self, recording: Recording<'_>, values: &Normalised, result: &Epilogue) -> Result<Dispatch, Error> {
        self.check("normalisation", values, [result.rows, result.columns])?;
        let norm = recording.parameters.get(&self.name);
        let mut tensors = vec![("pre", &values.pre), ("norm", &norm)];
        let quads = self.width.div_ceil(4);
        let (source, entry, threads) = match (self.over, recording.mode) {
            (Over::Batch, Mode::Training) => (&BATCH, "forward", [quads, 1, 1]),
            (Over::Batch, Mode::Evaluation) => (&BATCH_EVALUATE, "evaluate", [quads, result.rows, 1]),
            (Over::Layer, _) => (&LAYER, "forward", [result.rows, 1, 1]),
        };
        if entry == "forward" {
            tensors.push(("statistics", &values.statistics));
        }
        self.record(recording, (source, entry), &tensors, Some(result), threads)
    }

    /// Records the gradients of training: of the parameters, and in place of `gradient`, which is the result's, that of what
    /// was normalised.
    ///
    /// With `g` for the gradient times scale, and `xhat` for the result before scale and shift,
    /// `dpre = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(variance + 1e-5)`, with means over what is normalised over;
    /// `dscale[c] = sum_b gradient[b, c] * xhat[b, c]`, `dshift[c] = sum_b gradient[b, c]`.
    ///
    /// # Shapes
    ///
    /// - `gradient`: `(B, W)`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if it has another shape.
    pub fn backward(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        values: &Normalised,
        gradient: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        self.check("normalisation's gradient", values, [gradient.rows(), gradient.columns()])?;
        let (norm, dnorm) = (recording.parameters.get(&self.name), gradients.get(&self.name));
        let shared = [("pre", &values.pre), ("statistics", &values.statistics), ("gradient", gradient)];
        let (norm, dnorm) = (("norm", &norm), ("dnorm", &dnorm));
        let (columns, rows) = ([self.width.div_ceil(4), 1, 1], [gradient.rows(), 1, 1]);
        let record = |source, entry, more: &[(&'static str, &Tensor)], threads| {
            self.record(recording, (source, entry), &[&shared, more].concat(), None, threads)
        };
        match self.over {
            Over::Batch => Ok(vec![record(&BATCH_BACKWARD, "backward", &[norm, dnorm], columns)?]),
            // The parameters' come first: they need the gradient before it is replaced.
            Over::Layer => Ok(vec![
                record(&LAYER_PARAMETERS, "backward_parameters", &[dnorm], columns)?,
                record(&LAYER_BACKWARD, "backward", &[norm], rows)?,
            ]),
        }
    }

    fn record(
        &self,
        recording: Recording<'_>,
        kernel: (&Source, &str),
        tensors: &[(&'static str, &Tensor)],
        epilogue: Option<&Epilogue>,
        threads: [usize; 3],
    ) -> Result<Dispatch, Error> {
        let Recording { gpu, step, samples, .. } = recording;
        let overrides = [("WIDTH", self.width as f64), ("SAMPLES", samples as f64)];
        let tensors = [&[("step", step)], tensors].concat();
        let part = epilogue.map(Epilogue::part);
        let parts: Vec<_> = part.iter().map(|part| ("epilogue", part)).collect();
        Dispatch::with_parts(gpu, kernel, &overrides, &tensors, &parts, threads)
    }

    fn check(&self, operation: &'static str, values: &Normalised, found: [usize; 2]) -> Result<(), Error> {
        let expected = [values.pre.rows(), self.width];
        if found == expected {
            return Ok(());
        }
        let [expected, found] = [expected, found].map(|[rows, columns]| format!("({rows}, {columns})"));
        Err(Error::Shape { operation, expected, found })
    }
}
