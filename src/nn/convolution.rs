//! Convolutions and transposed convolutions: products whose operand is gathered. The twin of `shaders/nn/convolution/`.
//!
//! Both connect a large grid of positions with a small one, by the same weight. A convolution goes from the large to the small
//! one. The transposed one is its adjoint: it goes back, to the large grid's size, whatever that is. So each is the other's gradient
//! with respect to the input, and two kernels serve both.

mod window;

pub use window::Window;

use super::dense::{Product, ProductSize, operands_of_software};
use super::exact::{Exact, ExactConvolution, HostParameters};
use super::product::check;
use super::{Epilogue, Extent, Init, Layer, ParameterSpec, Recording, Role};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Part, Source, Tensor, source};
use crate::graph::{Graph, Moves, Value};

const ROWS: Source = source!("nn/convolution/rows.wgsl");
const PACKED_ROWS: Source = source!("nn/convolution/rows/packed.wgsl");
const NARROW: Source = source!("nn/convolution/narrow.wgsl");
const LOADS: Source = source!("nn/convolution/narrow/loads.wgsl");
const SHUFFLES: Source = source!("nn/convolution/narrow/shuffles.wgsl");
const PACK: Source = source!("nn/convolution/pack.wgsl");
const BIAS: Source = source!("nn/convolution/bias.wgsl");

/// The direction of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A convolution: from the large grid to the small one.
    Down,
    /// A transposed convolution: from the small grid to the large one.
    Up,
}

/// A convolution, or a transposed one; its parameters are in an arena under `name.weight` and `name.bias`.
#[derive(Clone, Debug)]
pub struct Convolution {
    name: String,
    window: Window,
    large: Extent,
    small: Extent,
    direction: Direction,
}

impl Convolution {
    /// Describes a convolution from `input` to the given number of channels, or, in the other direction, one to `large`
    /// from as many channels.
    ///
    /// The channels of the small grid are whole quads; those of the large one too, unless it is [`Extent::packed`].
    pub fn new(
        name: impl Into<String>,
        large: Extent,
        channels: usize,
        window: Window,
        direction: Direction,
    ) -> Convolution {
        let positions = large.positions.map(|n| window.outputs(n));
        let small = Extent { positions, channels, packed: false };
        Convolution { name: name.into(), window, large, small, direction }
    }

    fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    /// Quads of a line of a window.
    fn run_quads(&self) -> usize {
        (self.window.kernel * self.large.channels).div_ceil(4)
    }

    /// The rows of a phase of the large grid, with those that fill up its last tile.
    fn phase_rows(&self, examples: usize, tile: usize) -> usize {
        let [height, width] = self.large.positions.map(|n| n.div_ceil(self.window.stride));
        (examples * height * width).next_multiple_of(tile)
    }

    /// The part for the slot `rows`, for tensors of the given number of examples, their samples included.
    fn rows(&self, examples: usize, tile: usize) -> Part {
        let Convolution { window, large, small, .. } = self;
        let quads = window.kernel * self.run_quads();
        Part::new(if large.packed { PACKED_ROWS } else { ROWS })
            .size("INPUTS", 4 * quads)
            .size("INPUT_QUADS", quads)
            .size("OUTPUTS", small.channels)
            .size("HEIGHT", large.positions[0])
            .size("WIDTH", large.positions[1])
            .size("CHANNELS", large.channels)
            .size("SMALL_HEIGHT", small.positions[0])
            .size("SMALL_WIDTH", small.positions[1])
            .size("KERNEL", window.kernel)
            .size("STRIDE", window.stride)
            .size("PADDING", window.padding)
            .offer("EXAMPLES", examples)
            .size("PHASE_ROWS", self.phase_rows(examples, tile))
    }

    /// The product of an entry point.
    fn product<'a>(
        &self,
        recording: Recording<'_>,
        entry: &'static str,
        weight: &'a Tensor,
        tensors: Vec<(&'static str, &'a Tensor)>,
        examples: usize,
    ) -> Product<'a> {
        /// The highest tile of any variant.
        const TILE: usize = 128;
        let Convolution { window, large, small, .. } = self;
        let phases = window.stride * window.stride;
        let (inputs, outputs, batch) = match entry {
            // Each position of the large grid is met by one tap of each phase.
            "transposed" => {
                let terms = (window.area() * small.channels).div_ceil(phases);
                (large.channels, terms, phases * self.phase_rows(examples, TILE))
            }
            _ => (4 * window.kernel * self.run_quads(), small.channels, examples * small.rows()),
        };
        Product {
            size: ProductSize { layer: "convolution ", entry, inputs, outputs, batch },
            examples: examples / recording.at.samples,
            rows: self.rows(examples, TILE),
            weight,
            tensors,
            accumulate: recording.accumulate,
        }
    }

    /// Records the sums over windows, from the large grid to the small one:
    /// `bias[o] + sum_{v, u, i} large[b, s y + v - p, s x + u - p, i] * weight[o, v, u, i]`.
    fn down(
        &self,
        recording: Recording<'_>,
        large: &Tensor,
        bias: &Tensor,
        result: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let weight = recording.parameters.get(&self.weight());
        let tensors = vec![("input", large), ("weight", &weight), ("bias", bias)];
        let examples = result.rows / self.small.rows();
        let product = self.product(recording, "forward", &weight, tensors, examples);
        product.dispatch(recording.of(self.small), Some(result))
    }

    /// Records the adjoint, from the small grid to the large one: `bias[i]` plus the sum of
    /// `small[b, y, x, o] * weight[o, v, u, i]` over all windows that the position is in.
    fn up(
        &self,
        recording: Recording<'_>,
        small: &Tensor,
        bias: &Tensor,
        result: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let examples = small.rows() / self.small.rows();
        if self.large.packed {
            return self.up_to_image(recording, small, bias, result, examples);
        }
        let weight = recording.parameters.get(&self.weight());
        let tensors = vec![("doutput", small), ("weight", &weight), ("bias", bias)];
        let product = self.product(recording, "transposed", &weight, tensors, examples);
        product.dispatch(recording.of(self.small), Some(result))
    }

    /// The same to few channels, which are next to each other in the result.
    fn up_to_image(
        &self,
        recording: Recording<'_>,
        small: &Tensor,
        bias: &Tensor,
        result: &Epilogue,
        examples: usize,
    ) -> Result<Vec<Dispatch>, Error> {
        const GPU_THREADS: usize = 64;
        const LANES: usize = 8;
        const ROWS_PER_THREAD: usize = 8;
        let (gpu, channels) = (recording.at.gpu, self.large.channels);
        let positions = self.large.positions[0] * self.large.positions[1];
        let weight = recording.parameters.get(&self.weight());
        let operands = operands_of_software(gpu, small, &weight);
        let (threads, block) = if operands.is_some() { (LANES, SHUFFLES) } else { (GPU_THREADS, LOADS) };
        let tile = threads * ROWS_PER_THREAD;
        let rows = self.rows(examples, tile).fill("operands", &operands.unwrap_or_else(super::dense::operands));
        let apart = Tensor::zeros(gpu, examples * positions, channels)?;
        let part = Part::new(NARROW)
            .size("THREADS", threads)
            .fill("rows", &rows)
            .fill("block", &Part::new(block))
            .fill("epilogue", &Epilogue::store(&apart).part)
            .bind("doutput", small)
            .bind("weight", &weight);
        let phases = self.window.stride * self.window.stride;
        let tiles = phases * self.phase_rows(examples, tile) / tile;
        let narrow = recording.launch(part, "transposed")?.over_groups([tiles, channels.div_ceil(4), 1])?;
        let part = Part::new(PACK)
            .size("CHANNELS", channels)
            .size("POSITION_COUNT", positions)
            .bind("positions", &apart)
            .bind("bias", bias)
            .fill("epilogue", &result.part);
        let quads = (positions * channels).div_ceil(4);
        let pack = recording.of(self.large).launch(part, "pack")?.over([quads, result.rows, 1])?;
        Ok(vec![narrow, pack])
    }

    /// Records the gradient with respect to the weight, `dweight[o, v, u, i] = sum_{b, y, x} small[b, y, x, o] *
    /// large[b, s y + v - p, s x + u - p, i]`, and the sums of `small` over examples and positions.
    fn weight_gradient(
        &self,
        recording: Recording<'_>,
        [large, small]: [&Tensor; 2],
        dweight: &Tensor,
        sums: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        let weight = recording.parameters.get(&self.weight());
        let tensors = vec![("input", large), ("doutput", small), ("dweight", dweight), ("dbias", sums)];
        let examples = small.rows() / self.small.rows();
        let product = self.product(recording, "backward_weight", &weight, tensors, examples);
        product.dispatch(recording.of(self.small), None)
    }

    /// Records the gradient with respect to the bias of the transposed convolution: the sums over examples and positions.
    fn bias_gradient(
        &self,
        recording: Recording<'_>,
        doutput: &Tensor,
        dbias: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        /// Positions whose sum is a slice, and the most slices.
        const SLICE: usize = 1024;
        const MOST_SLICES: usize = 64;
        let Extent { positions: [height, width], channels, .. } = self.large;
        let examples = doutput.rows() / self.large.rows();
        let slices = (examples * height * width / SLICE).clamp(1, MOST_SLICES);
        let sums = Tensor::zeros(recording.at.gpu, slices, channels)?;
        let part = |part: Part| {
            part.size("CHANNELS", channels)
                .size("POSITION_COUNT", height * width)
                .size("SLICES", slices)
                .flag("ACCUMULATE", recording.accumulate)
                .bind("partial_bias", &sums)
        };
        let recording = Recording { positions: 1, ..recording };
        let first = recording.launch(part(Part::new(BIAS)).bind("doutput", doutput), "sum_slices")?;
        let second = recording.launch(part(Part::new(BIAS)).bind("dbias", dbias), "add_slices")?;
        let groups = [channels.div_ceil(channels.min(64)), slices, 1];
        Ok(vec![first.over_groups(groups)?, second.over([channels.next_multiple_of(4), 1, 1])?])
    }
}

impl Layer for Convolution {
    fn input(&self) -> Extent {
        if self.direction == Direction::Down { self.large } else { self.small }
    }

    fn output(&self) -> Extent {
        if self.direction == Direction::Down { self.small } else { self.large }
    }

    /// `weight` `(small channels, kernel, kernel, large channels)` and `bias` `(output channels)`, both uniform as
    /// `torch.nn.Conv2d` and `torch.nn.ConvTranspose2d` start them: within `1 / sqrt(large channels * kernel^2)`.
    fn parameters(&self) -> Vec<ParameterSpec> {
        let (kernel, large, small) = (self.window.kernel, self.large.channels, self.small.channels);
        let init = Init::Uniform { bound: 1.0 / ((large * self.window.area()) as f32).sqrt() };
        let shape = vec![small, kernel, kernel, large];
        vec![
            ParameterSpec { name: self.weight(), shape, role: Role::Weight, init },
            ParameterSpec { name: self.bias(), shape: vec![self.output().channels], role: Role::Bias, init },
        ]
    }

    fn flops(&self) -> f64 {
        2.0 * (self.small.positions.iter().product::<usize>() * self.window.area()) as f64
            * (self.large.channels * self.small.channels) as f64
    }

    fn exact(&self, parameters: &HostParameters) -> Box<dyn Exact> {
        let [weight, bias] = [self.weight(), self.bias()].map(|name| parameters.get(&name));
        Box::new(ExactConvolution::new(self.window, [self.large, self.small], self.direction, weight, bias))
    }

    fn describe(&self, graph: &mut Graph, input: Value) -> Value {
        let Window { kernel, stride, padding } = self.window;
        // The windows of the small grid's positions do not reach the rest.
        let rest = self.large.positions.map(|n| (n + 2 * padding - kernel) % stride);
        let output_padding = (self.direction == Direction::Up).then_some(rest);
        let moves = Moves { kernel, stride, padding, output_padding };
        graph.convolution(&self.name, input, moves, self.input().grid(), self.output().grid())
    }

    fn forward(&self, recording: Recording<'_>, input: &Tensor, output: &Epilogue) -> Result<Vec<Dispatch>, Error> {
        check(self, "convolution forward", input.shape(), [output.rows, output.columns])?;
        let bias = recording.parameters.get(&self.bias());
        match self.direction {
            Direction::Down => self.down(recording, input, &bias, output),
            Direction::Up => self.up(recording, input, &bias, output),
        }
    }

    fn backward(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        input: &Tensor,
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error> {
        check(self, "convolution backward", input.shape(), doutput.shape())?;
        let gpu = recording.at.gpu;
        let (dweight, dbias) = (gradients.get(&self.weight()), gradients.get(&self.bias()));
        let mut dispatches = match self.direction {
            Direction::Down => self.weight_gradient(recording, [input, doutput], &dweight, &dbias)?,
            Direction::Up => {
                // The kernel sums the rows of the small grid, which is not this bias's gradient.
                let unused = Tensor::zeros(gpu, 1, self.small.channels)?;
                let mut dispatches = self.weight_gradient(recording, [doutput, input], &dweight, &unused)?;
                dispatches.extend(self.bias_gradient(recording, doutput, &dbias)?);
                dispatches
            }
        };
        if let Some(dinput) = dinput {
            check(self, "convolution backward", [dinput.rows, dinput.columns], doutput.shape())?;
            let none = Tensor::zeros(gpu, 1, self.input().channels)?;
            dispatches.extend(match self.direction {
                Direction::Down => self.up(recording, doutput, &none, dinput)?,
                Direction::Up => self.down(recording, doutput, &none, dinput)?,
            });
        }
        Ok(dispatches)
    }
}
