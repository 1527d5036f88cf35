//! The layers of a network as users write them: `conv32k4s2,res64,pool,256`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Extent, SequenceSpec, WIDEST, Window};
use crate::Error;
use crate::error::require;

/// A hidden layer of the encoder, which the decoder mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a width, or a text such as \"conv32k4s2\", \"res64\", \"pool\" or \"gru256\"")]
pub enum LayerSpec {
    /// `400`: a dense layer of that width.
    Dense(usize),
    /// A layer over a grid of positions.
    Spatial(#[serde(with = "as_text")] Spatial),
    /// `gru256`, `lstm256`, `cnn256`: a layer over sentences.
    Sequence(#[serde(with = "as_text")] SequenceSpec),
}

/// A hidden layer that keeps a grid of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spatial {
    /// `conv32k4s2`: a convolution with 32 channels, kernel 4 and stride 2, and perhaps a padding, as in `p0`.
    Convolution {
        /// Channels of its output.
        channels: usize,
        /// Its window.
        window: Window,
    },
    /// `res64`: a residual block with 64 channels.
    Residual {
        /// Channels of its output.
        channels: usize,
    },
    /// `pool`: the mean of each 2 x 2 positions.
    Pool,
}

/// Positions along each axis that [`Spatial::Pool`] averages.
pub(super) const POOL: usize = 2;

impl LayerSpec {
    /// The size of its output for an input.
    pub fn output(self, input: Extent) -> Extent {
        let grid = |positions, channels| Extent { positions, channels, packed: false };
        match self {
            LayerSpec::Dense(width) | LayerSpec::Sequence(SequenceSpec { units: width, .. }) => Extent::vector(width),
            LayerSpec::Spatial(Spatial::Convolution { channels, window }) => {
                grid(input.positions.map(|n| window.outputs(n)), channels)
            }
            LayerSpec::Spatial(Spatial::Residual { channels }) => grid(input.positions, channels),
            LayerSpec::Spatial(Spatial::Pool) => grid(input.positions.map(|n| n / POOL), input.channels),
        }
    }

    fn parse(text: &str) -> Option<LayerSpec> {
        if let Ok(width) = text.parse() {
            return Some(LayerSpec::Dense(width));
        }
        text.parse().map(LayerSpec::Sequence).ok().or_else(|| text.parse().map(LayerSpec::Spatial).ok())
    }
}

impl FromStr for Spatial {
    type Err = String;

    fn from_str(text: &str) -> Result<Spatial, String> {
        Spatial::parse(text).ok_or_else(|| format!("no such layer: {text}"))
    }
}

impl Spatial {
    fn parse(text: &str) -> Option<Spatial> {
        if text == "pool" {
            return Some(Spatial::Pool);
        }
        if let Some(channels) = text.strip_prefix("res") {
            return Some(Spatial::Residual { channels: channels.parse().ok()? });
        }
        let mut rest = text.strip_prefix("conv")?;
        let mut number = |letter: &str, default: Option<usize>| {
            let Some(digits) = rest.strip_prefix(letter) else { return default };
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let value = digits[..end].parse().ok()?;
            rest = &digits[end..];
            Some(value)
        };
        let (channels, kernel, stride) = (number("", None)?, number("k", Some(3))?, number("s", Some(1))?);
        let window = Window::padded(kernel, stride);
        let window = Window { padding: number("p", Some(window.padding))?, ..window };
        rest.is_empty().then_some(Spatial::Convolution { channels, window })
    }
}

impl fmt::Display for Spatial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spatial::Convolution { channels, window } => {
                write!(f, "conv{channels}k{}s{}", window.kernel, window.stride)?;
                let usual = *window == Window::padded(window.kernel, window.stride);
                if usual { Ok(()) } else { write!(f, "p{}", window.padding) }
            }
            Spatial::Residual { channels } => write!(f, "res{channels}"),
            Spatial::Pool => f.write_str("pool"),
        }
    }
}

impl fmt::Display for LayerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerSpec::Dense(width) => write!(f, "{width}"),
            LayerSpec::Spatial(spatial) => write!(f, "{spatial}"),
            LayerSpec::Sequence(sequence) => write!(f, "{sequence}"),
        }
    }
}

mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(layer: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(layer)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err = String>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The hidden layers of a network, first to last. There may be none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layers(pub Vec<LayerSpec>);

impl Layers {
    /// Dense layers of the given widths.
    pub fn dense(widths: &[usize]) -> Layers {
        Layers(widths.iter().map(|width| LayerSpec::Dense(*width)).collect())
    }

    /// Layers that suit images of a size: a dense one for small grey images and for vectors, else convolutions that halve the grid as long
    /// as both sides are longer than 7, and a dense one.
    pub fn suited_to(image: Extent) -> Layers {
        /// As PyTorch's example has for MNIST.
        const WIDTH: usize = 400;
        const SMALL: usize = 28;
        const SHORTEST: usize = 7;
        const CHANNELS: [usize; 4] = [32, 64, 128, 256];
        const LAST_WIDTH: usize = 256;
        let Extent { positions, channels, .. } = image;
        let mut shorter = positions[0].min(positions[1]);
        if channels == 1 && positions.iter().all(|n| *n <= SMALL) || shorter <= SHORTEST {
            return Layers::dense(&[WIDTH]);
        }
        let window = Window::padded(4, 2);
        let mut layers = Vec::new();
        while shorter > SHORTEST {
            let channels = CHANNELS[layers.len().min(CHANNELS.len() - 1)];
            layers.push(LayerSpec::Spatial(Spatial::Convolution { channels, window }));
            shorter = window.outputs(shorter);
        }
        layers.push(LayerSpec::Dense(LAST_WIDTH));
        Layers(layers)
    }

    /// The size of the input and of each layer's output.
    pub fn extents(&self, input: Extent) -> Vec<Extent> {
        let mut extents = vec![input];
        for layer in &self.0 {
            extents.push(layer.output(extents[extents.len() - 1]));
        }
        extents
    }

    /// Whether there are layers over sentences.
    pub fn are_of_sentences(&self) -> bool {
        self.0.iter().any(|layer| matches!(layer, LayerSpec::Sequence(_)))
    }

    /// Whether there are layers over a grid of positions.
    pub fn are_convolutions(&self) -> bool {
        self.0.iter().any(|layer| matches!(layer, LayerSpec::Spatial(_)))
    }

    /// Checks the values that need no data. `unit` is the number of values of a product for one unit of a layer: channels
    /// have to be whole quads, also in the middle of a residual block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the option and the first layer that cannot work.
    pub fn validate(&self, option: &'static str, unit: usize) -> Result<(), Error> {
        for layer in &self.0 {
            match *layer {
                LayerSpec::Dense(width) => {
                    require(option, (1..=WIDEST).contains(&width), "widths from 1 to 1048576", width)?;
                }
                LayerSpec::Spatial(Spatial::Convolution { channels, window }) => {
                    let fits = (1..=WIDEST).contains(&channels) && channels.is_multiple_of(4);
                    require(option, fits, "channels that are a multiple of 4, such as conv32k4s2", layer)?;
                    let Window { kernel, stride, padding } = window;
                    let fits = (1..=64).contains(&kernel) && (1..=64).contains(&stride);
                    require(option, fits, "kernels and strides from 1 to 64, such as conv32k4s2", layer)?;
                    require(option, padding < kernel, "a padding below the kernel, such as conv32k4s2p1", layer)?;
                }
                LayerSpec::Spatial(Spatial::Residual { channels }) => {
                    let fits = (1..=WIDEST).contains(&channels) && channels.is_multiple_of(4 * unit);
                    let expected = format!("channels that are a multiple of {}, such as res64", 4 * unit);
                    require(option, fits, &expected, layer)?;
                }
                LayerSpec::Spatial(Spatial::Pool) => {}
                LayerSpec::Sequence(SequenceSpec { units, .. }) => {
                    let fits = (1..=WIDEST).contains(&units) && units.is_multiple_of(4);
                    require(option, fits, "units that are a multiple of 4, such as gru256", layer)?;
                }
            }
        }
        Ok(())
    }

    /// Checks that the layers fit an input.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the option and the first layer that does not fit.
    pub fn validate_for(&self, option: &'static str, input: Extent) -> Result<(), Error> {
        let extents = self.extents(input);
        for (layer, around) in self.0.iter().zip(extents.windows(2)) {
            let is_sequence = matches!(layer, LayerSpec::Sequence(_));
            require(option, !is_sequence, "dense layers and convolutions for images", layer)?;
            let LayerSpec::Spatial(spatial) = layer else { continue };
            let [input, output] = [around[0], around[1]];
            let [height, width] = input.positions;
            let before = if input.positions == [1, 1] && input.packed { "a dense layer" } else { "the image" };
            let is_grid = !input.packed || (around[0] == extents[0] && before == "the image");
            require(option, is_grid, &format!("no dense layer before `{layer}`"), self)?;
            let on_image = matches!(spatial, Spatial::Convolution { .. }) || !input.packed;
            require(option, on_image, &format!("a convolution before `{layer}`, such as conv32k4s2"), self)?;
            let expected = format!("a smaller kernel than `{layer}` for a grid of {height} x {width} positions");
            require(option, !output.is_empty(), &expected, self)?;
        }
        let widest = extents.iter().map(|extent| extent.len()).max().unwrap_or(0);
        require(option, widest <= 16 * WIDEST, "at most 16777216 values in a layer", widest)
    }
}

impl FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Layers, String> {
        if text.is_empty() || text == "none" {
            return Ok(Layers::default());
        }
        let layers = text.split(',').map(|layer| LayerSpec::parse(layer.trim()).ok_or(layer));
        layers.collect::<Result<_, _>>().map(Layers).map_err(|layer| {
            format!(
                "expected widths and layers such as conv32k4s2, res64 and pool, separated by commas, as in 512,256 or \
                 conv32k4s2,conv64k4s2,256, or `none`, found `{layer}`"
            )
        })
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<_> = self.0.iter().map(LayerSpec::to_string).collect();
        f.write_str(if layers.is_empty() { "none".to_owned() } else { layers.join(",") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_a_list_or_none_as_text_and_as_json() {
        for (text, json) in [
            ("none", "[]"),
            ("512,256", "[512,256]"),
            ("conv32k4s2,conv64k3s2p0,res64,pool,256", r#"["conv32k4s2","conv64k3s2p0","res64","pool",256]"#),
        ] {
            let layers: Layers = text.parse().unwrap();
            assert_eq!((layers.to_string().as_str(), serde_json::to_string(&layers).unwrap().as_str()), (text, json));
            assert_eq!(serde_json::from_str::<Layers>(json).unwrap(), layers);
        }
        assert_eq!("conv8".parse::<Layers>().unwrap().to_string(), "conv8k3s1");
        for wrong in ["512,x", "conv", "convk3", "conv8s", "conv8s2k3", "res", "pool2", "conv8k3x", "conv-8"] {
            let message = wrong.parse::<Layers>().expect_err(wrong);
            assert!(message.contains(&format!("`{}`", wrong.trim_start_matches("512,"))), "{message}");
        }
        assert!(serde_json::from_str::<Layers>(r#"["nothing"]"#).is_err());
    }

    #[test]
    fn layers_suit_the_images() {
        for (positions, channels, expected) in [
            ([28, 28], 1, "400"),
            ([1, 5000], 1, "400"),
            ([7, 300], 3, "400"),
            ([28, 28], 3, "conv32k4s2,conv64k4s2,256"),
            ([32, 32], 1, "conv32k4s2,conv64k4s2,conv128k4s2,256"),
            ([64, 64], 3, "conv32k4s2,conv64k4s2,conv128k4s2,conv256k4s2,256"),
            ([300, 256], 3, "conv32k4s2,conv64k4s2,conv128k4s2,conv256k4s2,conv256k4s2,conv256k4s2,256"),
        ] {
            let image = Extent { positions, channels, packed: true };
            let layers = Layers::suited_to(image);
            assert_eq!(layers.to_string(), expected);
            layers.validate_for("--hidden", image).unwrap();
        }
    }

    #[test]
    fn layers_that_do_not_fit_are_named() {
        let image = Extent { positions: [7, 9], channels: 3, packed: true };
        let check = |text: &str| {
            let layers: Layers = text.parse().unwrap();
            layers.validate("--hidden", 1).and_then(|()| layers.validate_for("--hidden", image))
        };
        for fine in ["none", "10", "conv8k3s2,res16,pool,10", "conv4k7s1p0", "conv8,conv8k4s2,5,5"] {
            check(fine).unwrap();
        }
        for (wrong, message) in [
            ("0", "widths from 1"),
            ("conv6", "multiple of 4"),
            ("conv8k0", "from 1 to 64"),
            ("conv8s0", "from 1 to 64"),
            ("conv8k3p3", "padding below"),
            ("res6", "multiple of 4"),
            ("10,conv8", "no dense layer before `conv8k3s1`"),
            ("res8", "a convolution before `res8`"),
            ("pool", "a convolution before `pool`"),
            ("conv8k8s1p0", "a smaller kernel than `conv8k8s1p0` for a grid of 7 x 9"),
            ("conv8k4s4,pool,pool", "a grid of"),
        ] {
            let error = check(wrong).expect_err(wrong).to_string();
            assert!(error.starts_with("--hidden: expected ") && error.contains(message), "{error}");
        }
    }
}
