//! The products of a dense layer on a CPU's SIMD lanes. The twin of `shaders/nn/dense/lanes.wgsl`.

use crate::Error;
use crate::gpu::{Dispatch, Gpu, TEXTURE_WIDTH, Tensor, source};

const SOURCE: (&str, &str) = source!("nn/dense/lanes.wgsl");

/// Binds a product's tensors to its kernel, for a result of `rows` by `columns`; operands are bound as textures.
///
/// # Errors
///
/// [`Error::Limit`] if an operand does not fit a texture.
pub(super) fn dispatch(
    gpu: &Gpu,
    entry: &str,
    sizes: &[(&str, f64)],
    tensors: &[(&str, &Tensor)],
    [rows, columns]: [usize; 2],
) -> Result<Dispatch, Error> {
    let mut overrides = sizes.to_vec();
    overrides.push(("TEXTURE_WIDTH", f64::from(TEXTURE_WIDTH)));
    if let Some((_, weight)) = tensors.iter().find(|(name, _)| *name == "weight") {
        overrides.push(("WEIGHT_START", weight.texture_start() as f64));
    }
    let shader = gpu.shader(SOURCE)?;
    let [tile_rows, tile_columns] = [shader.constant("TILE_ROWS")?, shader.constant("TILE_COLUMNS")?];
    let kernel = gpu.kernel(SOURCE, entry, &overrides)?;
    // One workgroup a tile. Rows vary fastest, so that neighbours share the operand that is not spread.
    let tiles = [rows.div_ceil(tile_rows as usize), columns.div_ceil(tile_columns as usize)];
    Dispatch::new(gpu, &kernel, tensors, [tiles[0] * kernel.workgroup_size()[0], tiles[1], 1])
}
