//! The sum of a batch's gradients over several steps. The twin of `shaders/optim/accumulate.wgsl`.

use super::same_length;
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Source, Tensor, folded, source};

const SOURCE: Source = source!("optim/accumulate.wgsl");

/// Records the addition of a step's gradients to those of its batch, of which the first step's takes the place of all.
///
/// `total = share * gradients + total`, `share` of the batch's examples being in this step
///
/// # Shapes
///
/// - both arenas: the same
///
/// # Errors
///
/// [`Error::Shape`] if the arenas differ in size.
pub fn accumulate(gpu: &Gpu, step: &Tensor, gradients: &Arena, total: &Arena) -> Result<Dispatch, Error> {
    let quads = same_length("adding up gradients", &[gradients, total])? / 4;
    let kernel = gpu.kernel(&SOURCE, "accumulate", &[("QUADS", quads as f64)])?;
    let tensors = [("step", step), ("gradients", gradients.whole()), ("total", total.whole())];
    Dispatch::new(gpu, &kernel, &tensors, folded(quads, kernel.workgroup_size()[0]))
}
