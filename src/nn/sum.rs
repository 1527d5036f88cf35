//! Values that are passed on to an epilogue without a product, or added first. The twin of `shaders/nn/sum.wgsl`.

use super::exact::{Exact, HostParameters};
use super::{Epilogue, Extent, Layer, ParameterSpec, Recording};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Part, Source, Tensor, source};
use crate::graph::{Graph, Value};

const SOURCE: Source = source!("nn/sum.wgsl");

/// Records `result[row, c] = values[row, c] + others[row, c]`; without the second tensor, the first one is passed on.
///
/// # Shapes
///
/// - all: `(B * samples * positions, channels)`
///
/// # Errors
///
/// [`Error::Argument`] if the shapes differ.
pub fn sum(
    recording: Recording<'_>,
    values: &Tensor,
    others: Option<&Tensor>,
    result: &Epilogue,
) -> Result<Dispatch, Error> {
    let shape = [result.rows, result.columns];
    require_shapes("a sum of values", [shape, shape], [values.shape(), others.unwrap_or(values).shape()])?;
    let part = Part::new(SOURCE).bind("values", values).fill("epilogue", &result.part);
    let launch = match others {
        None => recording.launch(part, "pass_on")?,
        Some(others) => recording.launch(part.bind("others", others), "add")?,
    };
    launch.over([values.stride() / 4, values.rows(), 1])
}

/// A layer that changes nothing: a block begins with it that normalises and activates its input.
#[derive(Clone, Copy, Debug)]
pub struct Identity(pub Extent);

impl Exact for Identity {
    fn evaluate(&self, input: &[f32]) -> Vec<f32> {
        input.to_vec()
    }
}

impl Layer for Identity {
    fn input(&self) -> Extent {
        self.0
    }

    fn output(&self) -> Extent {
        self.0
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn flops(&self) -> f64 {
        0.0
    }

    fn exact(&self, _: &HostParameters) -> Box<dyn Exact> {
        Box::new(*self)
    }

    fn describe(&self, graph: &mut Graph, input: Value) -> Value {
        graph.as_grid(input, self.0.grid())
    }

    fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Vec<Dispatch>, Error> {
        Ok(vec![sum(recording.of(self.0), input, None, output)?])
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        _gradients: &Arena,
        _input: &Tensor,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error> {
        dinput.map(|dinput| sum(recording.of(self.0), doutput, None, dinput)).into_iter().collect()
    }
}
