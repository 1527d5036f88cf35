//! The gradients of the weights and biases of several layers in one kernel, through workgroup memory. The twin of
//! `shaders/nn/dense/workgroup/weights.wgsl`.

use super::{Dense, Recording, Variant};
use crate::Error;
use crate::error::{require, require_shapes};
use crate::gpu::{Arena, Dispatch, Part, Source, Tensor, source};
use crate::nn::Layer;

const SOURCE: Source = source!("nn/dense/workgroup/weights.wgsl");

/// The variant whose tiles the kernel has: small ones, as it is for small batches.
const TILES: &str = "workgroup-32";

/// A layer, its input, `(B, inputs)`, and the gradient with respect to its output, `(B, outputs)`.
#[derive(Clone, Copy, Debug)]
pub struct WeightGradient<'a> {
    /// The layer.
    pub layer: &'a Dense,
    /// Its input.
    pub input: &'a Tensor,
    /// The gradient with respect to its output.
    pub doutput: &'a Tensor,
}

/// Records the gradients of the parameters of up to three layers, the first of which is there: those of [`Layer::backward`], without that of an input.
///
/// # Errors
///
/// [`Error::Argument`] if the tensors have other shapes, or if the gradients were to be added to stored ones.
pub fn weight_gradients(
    recording: Recording<'_>,
    gradients: &Arena,
    layers: [Option<WeightGradient<'_>>; 3],
) -> Result<Dispatch, Error> {
    const NAMES: [[&str; 6]; 3] = [
        ["INPUT0_QUADS", "OUTPUTS0", "WEIGHT0", "BIAS0", "input0", "doutput0"],
        ["INPUT1_QUADS", "OUTPUTS1", "WEIGHT1", "BIAS1", "input1", "doutput1"],
        ["INPUT2_QUADS", "OUTPUTS2", "WEIGHT2", "BIAS2", "input2", "doutput2"],
    ];
    require(
        "the gradients of weights",
        !recording.accumulate,
        "gradients that are stored",
        "gradients that are added",
    )?;
    let variant = Variant::named(TILES).expect("the file of variants has it");
    let mut part = Part::new(SOURCE).fill("sizes", &Part::new(variant.sizes())).bind("gradients", gradients.whole());
    let mut tiles = 0;
    for (given, [input_quads, outputs, weight, bias, input, doutput]) in layers.iter().zip(NAMES) {
        // Without a third layer, the tensors of the first are bound in its place, and it has no tiles.
        let own = given.or(layers[0]).expect("the first layer is there");
        let WeightGradient { layer, input: x, doutput: d } = own;
        let rows = x.rows();
        require_shapes(
            "the gradients of weights",
            [[rows, layer.inputs], [rows, layer.outputs]],
            [x.shape(), d.shape()],
        )?;
        let results = if given.is_some() { layer.outputs } else { 0 };
        let start = |name: &str| gradients.get(name).first_quad();
        part = part
            .size(input_quads, layer.input().channels.div_ceil(4))
            .size(outputs, results)
            .size(weight, start(&layer.weight()))
            .size(bias, start(&layer.bias()))
            .bind(input, x)
            .bind(doutput, d);
        tiles +=
            results.div_ceil(variant.constant("TILE_ROWS")) * layer.inputs.div_ceil(variant.constant("TILE_COLUMNS"));
    }
    recording.launch(part, "backward")?.over_groups([tiles, 1, 1])
}
