//! Pooling and enlargement: grids of positions of other sizes, without weights. The twin of `shaders/nn/resize.wgsl`.

use super::exact::{Exact, HostParameters};
use super::product::check;
use super::{Epilogue, Extent, Layer, ParameterSpec, Recording};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Part, Source, Tensor, source};
use crate::graph::{Graph, Operation, Value};

const SOURCE: Source = source!("nn/resize.wgsl");

/// A change of a grid's size by a whole factor.
#[derive(Clone, Copy, Debug)]
pub struct Resize {
    kind: Kind,
    large: Extent,
    small: Extent,
    factor: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pool,
    Enlarge,
}

impl Resize {
    /// Mean pooling: `output[b, y, x, c]` is the mean of `input` over `factor` x `factor` positions. Positions that are left over
    /// at the end are not used.
    pub fn pool(large: Extent, factor: usize) -> Resize {
        let small = Extent { positions: large.positions.map(|n| n / factor), ..large };
        Resize { kind: Kind::Pool, large, small, factor }
    }

    /// Enlargement to the nearest value, to the size of `large`: `output[b, y, x, c] = input[b, y / factor, x / factor, c]`, with
    /// the last position of `input` repeated where it does not reach.
    pub fn enlarge(small: Extent, large: Extent, factor: usize) -> Resize {
        Resize {
            kind: Kind::Enlarge,
            large: Extent { channels: small.channels, packed: false, ..large },
            small,
            factor,
        }
    }

    fn part(&self, values: &Tensor, result: &Epilogue) -> Part {
        let pools = self.kind == Kind::Pool;
        let scale = if pools { 1.0 / (self.factor * self.factor) as f64 } else { 1.0 };
        Part::new(SOURCE)
            .size("HEIGHT", self.large.positions[0])
            .size("WIDTH", self.large.positions[1])
            .size("SMALL_HEIGHT", self.small.positions[0])
            .size("SMALL_WIDTH", self.small.positions[1])
            .size("FACTOR", self.factor)
            .flag("TAIL", !pools)
            .set("SCALE", scale)
            .bind("values", values)
            .fill("epilogue", &result.part)
    }

    fn gather(&self, recording: Recording<'_>, large: &Tensor, result: &Epilogue) -> Result<Dispatch, Error> {
        let launch = recording.of(self.small).launch(self.part(large, result), "gather")?;
        launch.over([large.stride() / 4, result.rows, 1])
    }

    fn spread(&self, recording: Recording<'_>, small: &Tensor, result: &Epilogue) -> Result<Dispatch, Error> {
        let launch = recording.of(self.large).launch(self.part(small, result), "spread")?;
        launch.over([small.stride() / 4, result.rows, 1])
    }
}

impl Exact for Resize {
    fn evaluate(&self, input: &[f32]) -> Vec<f32> {
        let Resize { large, small, factor, .. } = *self;
        let ([height, width], [small_height, small_width]) = (large.positions, small.positions);
        let channels = large.channels;
        let near =
            |y: usize, x: usize| (y / factor).min(small_height - 1) * small_width + (x / factor).min(small_width - 1);
        let mut output = vec![0.0; self.output().len()];
        for position in 0..height * width {
            let (y, x) = (position / width, position % width);
            let is_left_over = y / factor >= small_height || x / factor >= small_width;
            let (from, to) = match self.kind {
                Kind::Pool if is_left_over => continue,
                Kind::Pool => (position, near(y, x)),
                Kind::Enlarge => (near(y, x), position),
            };
            for channel in 0..channels {
                output[to * channels + channel] += input[from * channels + channel];
            }
        }
        if self.kind == Kind::Pool {
            let scale = 1.0 / (factor * factor) as f32;
            output.iter_mut().for_each(|value| *value *= scale);
        }
        output
    }
}

impl Layer for Resize {
    fn input(&self) -> Extent {
        if self.kind == Kind::Pool { self.large } else { self.small }
    }

    fn output(&self) -> Extent {
        if self.kind == Kind::Pool { self.small } else { self.large }
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn flops(&self) -> f64 {
        self.large.len() as f64
    }

    fn exact(&self, _: &HostParameters) -> Box<dyn Exact> {
        Box::new(*self)
    }

    fn describe(&self, graph: &mut Graph, input: Value) -> Value {
        let operation = match self.kind {
            Kind::Pool => Operation::Pool(self.factor),
            Kind::Enlarge => Operation::Enlarge(self.factor),
        };
        graph.resize(operation, input, self.input().grid(), self.output().grid())
    }

    fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Vec<Dispatch>, Error> {
        check(self, "resizing", input.shape(), [output.rows, output.columns])?;
        Ok(vec![match self.kind {
            Kind::Pool => self.gather(recording, input, output)?,
            Kind::Enlarge => self.spread(recording, input, output)?,
        }])
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        _gradients: &Arena,
        input: &Tensor,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error> {
        check(self, "resizing", input.shape(), doutput.shape())?;
        let Some(dinput) = dinput else { return Ok(Vec::new()) };
        check(self, "resizing", [dinput.rows, dinput.columns], doutput.shape())?;
        Ok(vec![match self.kind {
            Kind::Pool => self.spread(recording, doutput, dinput)?,
            Kind::Enlarge => self.gather(recording, doutput, dinput)?,
        }])
    }
}
