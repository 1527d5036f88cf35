//! The choice of a variant for each product.

use super::{ProductSize, Variant, cost};
use crate::Error;
use crate::gpu::{Candidate, Choice, Dispatch, Gpu, Tensor};

/// A layer with a side of at most this many columns is narrow: lanes have a variant for it.
const NARROW: usize = 64;

/// Rows of a tile of the other variant. A convolution has more, except for the gradient of a weight of few channels.
const TILE: usize = 32;

/// The variant for a product of tensors; `record` makes the dispatches to measure, with the kernels of one variant.
pub(super) fn choose(
    gpu: &Gpu,
    size: ProductSize,
    tensors: &[(&'static str, &Tensor)],
    record: impl Fn(&'static Variant) -> Result<Vec<Dispatch>, Error>,
) -> (&'static Variant, Choice) {
    let fit = tensors.iter().all(|(_, tensor)| tensor.fits_texture(gpu));
    let low = if size.layer.is_empty() { size.inputs.min(size.outputs) <= NARROW } else { size.results()[0][0] < TILE };
    let other_lanes = if low { "lanes" } else { "lanes-low" };
    let mut variants = Variant::of(gpu);
    variants.retain(|variant| !variant.reads_textures() || fit);
    // The sums of all slices are one tensor.
    let has_room = |variant: &&Variant| {
        let mut results = size.results().into_iter();
        variant.passes() == 1 || results.all(|[rows, columns, _]| variant.passes() * rows <= gpu.most_rows(columns))
    };
    variants.retain(has_room);
    // Its sums are short, and its rows are not in order.
    variants.retain(|variant| variant.passes() == 1 || size.entry != "transposed");
    variants.retain(|variant| variant.name() != other_lanes || gpu.kernel_request().names(other_lanes));
    let expected = |variant: &Variant| cost::on_adapter(&gpu.adapter().name, variant, size);
    if !gpu.adapter().is_software() {
        // The likely ones are measured first; without measuring, the first one is taken.
        variants.sort_by(|a, b| expected(a).total_cmp(&expected(b)));
    }
    let of = |variant: &&'static Variant| Candidate {
        name: variant.name(),
        bytes: Some(cost::bytes(variant, size)),
        expected_seconds: (!gpu.adapter().is_software()).then(|| expected(variant)),
    };
    let candidates: Vec<_> = variants.iter().map(of).collect();
    let (index, choice) = gpu.choose(&size.name(), &candidates, size.flops(), |index| record(variants[index]));
    (variants[index], choice)
}
