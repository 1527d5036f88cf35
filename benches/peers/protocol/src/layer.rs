//! The layers of the two networks, which every peer builds from what its framework has.

use crate::Flags;

/// Channels, height and width; a vector has as many channels as values.
pub type Size = [usize; 3];

/// A layer of a network.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// The size of its input.
    pub input: Size,
    /// The size of its output.
    pub output: Size,
    /// What it computes.
    pub kind: Kind,
}

/// What a layer computes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A product of all values.
    Dense,
    /// A convolution.
    Convolution(Window),
    /// A transposed convolution, with the output padding of height and width that leads to the size of its output.
    Transposed(Window, [usize; 2]),
}

/// The window of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Positions along each axis.
    pub kernel: usize,
    /// Positions from one window to the next.
    pub stride: usize,
    /// Zeros on each side: `(kernel - 1) / 2`, rounded down.
    pub padding: usize,
}

impl Layer {
    /// The encoder, from the image to the two halves (mean, logvar) of its output, and the decoder, which mirrors it from
    /// the latents to the logits.
    ///
    /// # Errors
    ///
    /// If a hidden layer is neither a width nor a convolution that fits.
    pub fn networks(flags: &Flags) -> Result<[Vec<Layer>; 2], String> {
        let (mut encoder, mut size) = (Vec::new(), flags.image);
        for text in &flags.hidden {
            let layer = Layer::parse(text, size).ok_or_else(|| {
                format!("--hidden: wanted widths and convolutions that fit, as conv32k4s2, found `{text}`")
            })?;
            size = layer.output;
            encoder.push(layer);
        }
        let latents = [flags.latents, 1, 1];
        let first = Layer { input: latents, output: size, kind: Kind::Dense };
        let decoder = std::iter::once(first).chain(encoder.iter().rev().map(Layer::mirrored)).collect();
        encoder.push(Layer { input: size, output: [2 * flags.latents, 1, 1], kind: Kind::Dense });
        Ok([encoder, decoder])
    }

    /// The values of its input.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// The values of its output.
    pub fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    /// A hidden layer of the encoder, `400` or `conv32k4s2`.
    fn parse(text: &str, input: Size) -> Option<Layer> {
        if let Ok(width) = text.parse() {
            return Some(Layer { input, output: [width, 1, 1], kind: Kind::Dense });
        }
        let (channels, window) = text.strip_prefix("conv")?.split_once('k')?;
        let (kernel, stride) = window.split_once('s')?;
        let (kernel, stride) = (kernel.parse::<usize>().ok()?, stride.parse().ok()?);
        let window = Window { kernel, stride, padding: kernel.checked_sub(1)? / 2 };
        let outputs = |n: usize| Some((n + 2 * window.padding).checked_sub(kernel)?.checked_div(stride)? + 1);
        let output = [channels.parse().ok()?, outputs(input[1])?, outputs(input[2])?];
        Some(Layer { input, output, kind: Kind::Convolution(window) })
    }

    /// The layer of the decoder that leads back from its output to its input.
    fn mirrored(&self) -> Layer {
        let kind = match self.kind {
            Kind::Convolution(window) => {
                let rest = |axis: usize| (self.input[axis] + 2 * window.padding - window.kernel) % window.stride;
                Kind::Transposed(window, [rest(1), rest(2)])
            }
            kind => kind,
        };
        Layer { input: self.output, output: self.input, kind }
    }
}

/// `64x64x3` as height, width and channels, or `28x28` for grey images.
pub(crate) fn image(text: &str) -> Result<Size, String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok().filter(|&size| size > 0)).collect();
    match sizes.as_deref() {
        Some(&[height, width]) => Ok([1, height, width]),
        Some(&[height, width, channels]) => Ok([channels, height, width]),
        _ => Err(format!("wanted a height, a width and perhaps channels, as 64x64x3, found `{text}`")),
    }
}
