//! Stacks from descriptions of their layers: the encoder, and the decoder that mirrors it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Block, Shortcut, Stack};
use crate::nn::spec::{LayerSpec, POOL, Spatial};
use crate::nn::{
    Activation, Convolution, Dense, Direction, Extent, Identity, Layers, NormKind, Product, Resize, Window,
};

/// How a decoder makes grids larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upsample {
    /// Transposed convolutions, with the kernel and the stride of the encoder's
    #[default]
    Transposed,
    /// The nearest value is repeated, and a convolution with stride 1 and an odd kernel follows: no chequered patterns
    Nearest,
}

/// The hidden layers of a stack.
#[derive(Clone, Copy, Debug)]
pub struct StackConfig<'a> {
    /// The layers of the encoder, first to last.
    pub hidden: &'a Layers,
    /// The activation after each of them.
    pub activation: Activation,
    /// The normalisation before each activation.
    pub normalise: NormKind,
    /// How the decoder makes grids larger.
    pub upsample: Upsample,
}

/// A stack that is being built.
struct Builder<'a> {
    config: StackConfig<'a>,
    name: &'a str,
    /// Layers so far, each of which has a number in its parameters' names.
    layers: usize,
    blocks: Vec<Block>,
    shortcuts: Vec<Shortcut>,
}

impl Stack {
    /// Describes an encoder from `input` to a vector of `outputs`.
    ///
    /// The hidden layers are called `name.0`, `name.1`, and so on; the last one is called `output_name`.
    pub fn encoder([name, output_name]: [&str; 2], input: Extent, outputs: usize, config: StackConfig<'_>) -> Stack {
        let mut builder = Builder::new(config, name);
        let extents = config.hidden.extents(input);
        for (layer, around) in config.hidden.0.iter().zip(extents.windows(2)) {
            builder.layer(*layer, around[0], around[1]);
        }
        let last = extents.last().map_or(0, |extent| extent.len());
        builder.finish(Product::Dense(Dense::new(output_name, last, outputs)))
    }

    /// Describes a decoder from a vector of `latents` to `image`, which mirrors an encoder of the same layers: each leads back to the
    /// size of its input.
    ///
    /// The hidden layers are called `name.0`, `name.1`, and so on; the last one is called `output_name`.
    pub fn decoder([name, output_name]: [&str; 2], latents: usize, image: Extent, config: StackConfig<'_>) -> Stack {
        let mut builder = Builder::new(config, name);
        let extents = config.hidden.extents(image);
        let Some((first, rest)) = config.hidden.0.split_first() else {
            return builder.finish(Product::Dense(Dense::new(output_name, latents, image.len())));
        };
        let last = extents[extents.len() - 1].len();
        builder.dense(latents, last);
        for (index, layer) in rest.iter().enumerate().rev() {
            builder.mirrored(*layer, extents[index + 2], extents[index + 1]);
        }
        let output = builder.output(output_name, *first, extents[1], image);
        builder.finish(output)
    }
}

impl<'a> Builder<'a> {
    fn new(config: StackConfig<'a>, name: &'a str) -> Builder<'a> {
        Builder { config, name, layers: 0, blocks: Vec::new(), shortcuts: Vec::new() }
    }

    fn finish(self, output: Product) -> Stack {
        Stack { blocks: self.blocks, shortcuts: self.shortcuts, output }
    }

    /// The name of the next layer.
    fn next_name(&mut self) -> String {
        self.layers += 1;
        format!("{}.{}", self.name, self.layers - 1)
    }

    /// Values of a product for one unit.
    fn inputs(&self) -> usize {
        self.config.activation.inputs()
    }

    /// Adds a product with its normalisation and activation.
    fn block(&mut self, name: &str, product: Product) {
        let columns = product.layer().output();
        let columns = if columns.packed { columns.len() } else { columns.channels };
        let StackConfig { activation, normalise, .. } = self.config;
        self.blocks.push(Block { product, norm: normalise.of_layer(name, columns), activation: Some(activation) });
    }

    /// Adds a product alone.
    fn linear(&mut self, product: Product) {
        self.blocks.push(Block { product, norm: None, activation: None });
    }

    fn dense(&mut self, inputs: usize, outputs: usize) {
        let name = self.next_name();
        let product = Product::Dense(Dense::new(name.as_str(), inputs, outputs * self.inputs()));
        self.block(&name, product);
    }

    /// Adds a layer of an encoder.
    fn layer(&mut self, layer: LayerSpec, input: Extent, output: Extent) {
        match layer {
            LayerSpec::Dense(width) => self.dense(input.len(), width),
            LayerSpec::Sequence(_) => unreachable!("a checked stack has no layer over sentences"),
            LayerSpec::Spatial(Spatial::Convolution { channels, window }) => {
                let (name, channels) = (self.next_name(), channels * self.inputs());
                let down = Convolution::new(name.as_str(), input, channels, window, Direction::Down);
                self.block(&name, Product::Convolution(down));
            }
            LayerSpec::Spatial(Spatial::Residual { .. }) => self.residual(input, output.channels),
            LayerSpec::Spatial(Spatial::Pool) => self.linear(Product::Resize(Resize::pool(input, POOL))),
        }
    }

    /// Adds the layer of a decoder that leads from the output of an encoder's layer back to its input.
    fn mirrored(&mut self, layer: LayerSpec, from: Extent, to: Extent) {
        match layer {
            LayerSpec::Dense(_) => self.dense(from.len(), to.len()),
            LayerSpec::Sequence(_) => unreachable!("a checked stack has no layer over sentences"),
            LayerSpec::Spatial(Spatial::Convolution { window, .. }) => {
                let to = Extent { channels: to.channels * self.inputs(), ..to };
                let name = self.next_name();
                let product = self.up(&name, window, from, to);
                self.block(&name, product);
            }
            LayerSpec::Spatial(Spatial::Residual { .. }) => self.residual(from, to.channels),
            LayerSpec::Spatial(Spatial::Pool) => {
                self.linear(Product::Resize(Resize::enlarge(from, to, POOL)));
            }
        }
    }

    /// The last layer of a decoder, to the image.
    fn output(&mut self, name: &str, layer: LayerSpec, from: Extent, image: Extent) -> Product {
        match layer {
            LayerSpec::Spatial(Spatial::Convolution { window, .. }) => self.up(name, window, from, image),
            // The others cannot be first, except for a dense layer.
            _ => Product::Dense(Dense::new(name, from.len(), image.len())),
        }
    }

    /// A transposed convolution, perhaps after an enlargement. With stride 1, it is a convolution.
    fn up(&mut self, name: &str, window: Window, from: Extent, to: Extent) -> Product {
        let mut window = window;
        if self.config.upsample == Upsample::Nearest && window.stride > 1 {
            self.linear(Product::Resize(Resize::enlarge(from, to, window.stride)));
            window = Window::padded(window.kernel - 1 + window.kernel % 2, 1);
        }
        Product::Convolution(Convolution::new(name, to, from.channels, window, Direction::Up))
    }

    /// Adds a residual block: `conv(act(norm(conv(act(norm(x)))))) + x`, with a projection of `x` if the channels change. He et al.
    /// 2016b, figure 4e.
    fn residual(&mut self, input: Extent, channels: usize) {
        let name = self.next_name();
        let start = self.blocks.len();
        let three = Window::padded(3, 1);
        let same = |name: String, input: Extent, channels: usize, window: Window| {
            Product::Convolution(Convolution::new(name, input, channels, window, Direction::Down))
        };
        let activated = Extent { channels: input.channels / self.inputs(), ..input };
        self.block(&format!("{name}.0"), Product::Identity(Identity(input)));
        let first = same(format!("{name}.1"), activated, channels * self.inputs(), three);
        self.block(&format!("{name}.1"), first);
        self.linear(same(format!("{name}.2"), Extent { channels, ..input }, channels, three));
        let projection = (channels != input.channels)
            .then(|| same(format!("{name}.shortcut"), input, channels, Window::padded(1, 1)));
        self.shortcuts.push(Shortcut { blocks: start..start + 3, projection });
    }
}
