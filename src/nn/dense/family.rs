//! Families of kernels for products, and the choice of a family for each product.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{LOW_TILE, SUMS, TILES};
use crate::Error;
use crate::gpu::{Choice, Dispatch, Gpu, KernelRequest, Tensor};
use crate::nn::epilogue;

/// The shape of the kernels that multiply matrices. All compute the same, up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelFamily {
    /// Tiles of 8 x 8 in a thread's registers: for any adapter.
    Tiles,
    /// Tiles of 4 x 4 whose sums are cut into slices: for few rows on a wide GPU.
    Slices,
    /// Tiles over the SIMD lanes of a CPU thread: for software adapters with subgroups of 8.
    Lanes,
}

/// The sizes of a product of matrices. The choice of its kernel depends on them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ProductSize {
    /// The entry point.
    pub entry: &'static str,
    /// Columns of the layer's input.
    pub inputs: usize,
    /// Columns of the layer's output.
    pub outputs: usize,
    /// Rows of both.
    pub batch: usize,
    /// Rows of all results.
    pub rows: usize,
    /// Columns of the results.
    pub columns: usize,
    /// The number of results. Each has two of the sizes `inputs`, `outputs` and `batch`, and sums over the third.
    pub results: usize,
}

impl ProductSize {
    /// The name in a run's table of kernels and in the user's cache: with another name, the product would be measured
    /// again, and a run would not resume with the same bits.
    fn name(self) -> String {
        let ProductSize { entry, inputs, outputs, batch, .. } = self;
        format!("{entry} {inputs} to {outputs}, {batch} rows")
    }

    fn flops(self) -> f64 {
        2.0 * self.results as f64 * self.batch as f64 * self.inputs as f64 * self.outputs as f64
    }
}

/// With fewer threads of [`KernelFamily::Tiles`] than this, a GPU cannot hide its latencies. This is an estimate for
/// `--no-tune`; otherwise every adapter measures.
const FEW_THREADS: usize = 4_096;

impl KernelFamily {
    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            KernelFamily::Tiles => "tiles",
            KernelFamily::Slices => "slices",
            KernelFamily::Lanes => "lanes",
        }
    }

    /// Whether a device can run these kernels at all.
    ///
    /// # Errors
    ///
    /// [`Error::Shader`] if a kernel's file does not compile: a bug.
    pub fn runs_on(self, gpu: &Gpu) -> Result<bool, Error> {
        if self != KernelFamily::Lanes {
            return Ok(true);
        }
        let lanes = gpu.shader(&SUMS.with("tile", LOW_TILE))?.constant("LANES")?;
        Ok(gpu.has_subgroups_of(lanes) && gpu.reads_textures())
    }

    /// Checks that a device can run these kernels.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] if it cannot.
    pub fn require(self, gpu: &Gpu) -> Result<(), Error> {
        if self.runs_on(gpu)? {
            return Ok(());
        }
        let (kernels, adapter) = (self.name(), gpu.adapter());
        let reason = format!(
            "the {kernels} kernels need subgroups of 8, which {adapter} does not have; take other kernels or another adapter"
        );
        Err(Error::Adapter { reason })
    }

    /// The families that a device chooses from. On a CPU, the family that is likely to be the fastest comes first.
    /// Lanes are for CPUs, unless they are requested.
    ///
    /// # Errors
    ///
    /// As [`KernelFamily::runs_on`].
    pub fn of(gpu: &Gpu) -> Result<Vec<KernelFamily>, Error> {
        let mut families = Vec::new();
        let lanes = match gpu.kernel_request() {
            KernelRequest::Measured | KernelRequest::Fixed => gpu.adapter().is_software(),
            request => request.names(KernelFamily::Lanes.name()),
        };
        if lanes && KernelFamily::Lanes.runs_on(gpu)? {
            families.push(KernelFamily::Lanes);
        }
        families.extend([KernelFamily::Tiles, KernelFamily::Slices]);
        Ok(families)
    }

    /// The family for a product of tensors; `record` makes the dispatch to measure, with the kernel of one family.
    pub(super) fn choose(
        gpu: &Gpu,
        size: ProductSize,
        tensors: &[(&'static str, &Tensor)],
        record: impl Fn(KernelFamily) -> Result<Dispatch, Error>,
    ) -> Result<(KernelFamily, Choice), Error> {
        let mut families = KernelFamily::of(gpu)?;
        if !tensors.iter().all(|(_, tensor)| tensor.fits_texture(gpu)) {
            families.retain(|family| *family != KernelFamily::Lanes);
        }
        let names: Vec<_> = families.iter().map(|family| family.name()).collect();
        let rule = KernelFamily::by_rule(gpu, &families, size)?;
        let (index, choice) = gpu.choose(&size.name(), &names, rule, size.flops(), |index| record(families[index]));
        Ok((families[index], choice))
    }

    /// The choice without measuring.
    fn by_rule(gpu: &Gpu, families: &[KernelFamily], size: ProductSize) -> Result<usize, Error> {
        let shader = gpu.shader(&TILES.with("epilogue", epilogue::SOURCE))?;
        let [rows, columns] = [shader.constant("THREAD_ROWS")?, shader.constant("THREAD_COLUMNS")?];
        let threads = size.rows.div_ceil(rows as usize) * size.columns.div_ceil(columns as usize);
        Ok(rule(families, gpu.adapter().is_software(), threads))
    }
}

/// The first of the families on a CPU; on a GPU tiles if they have enough threads.
fn rule(families: &[KernelFamily], software: bool, threads_of_tiles: usize) -> usize {
    let wanted = if threads_of_tiles < FEW_THREADS { KernelFamily::Slices } else { KernelFamily::Tiles };
    if software { 0 } else { families.iter().position(|family| *family == wanted).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_tiles_for_large_products_and_slices_for_small_ones() {
        let families = [KernelFamily::Tiles, KernelFamily::Slices];
        let of = |families: &[KernelFamily], software, rows: usize, columns: usize| {
            families[rule(families, software, rows.div_ceil(8) * columns.div_ceil(8))]
        };
        assert_eq!(of(&families, false, 128, 400), KernelFamily::Slices);
        assert_eq!(of(&families, false, 4096, 400), KernelFamily::Tiles);
        assert_eq!(of(&families, true, 128, 400), KernelFamily::Tiles);
        let families = [KernelFamily::Lanes, KernelFamily::Tiles, KernelFamily::Slices];
        assert_eq!(of(&families, true, 128, 400), KernelFamily::Lanes);
    }

    #[test]
    fn names_on_disk_stay_as_they_are() {
        let (rows, columns, results) = (528, 784, 2);
        let size = ProductSize { entry: "backward", inputs: 784, outputs: 400, batch: 128, rows, columns, results };
        assert_eq!(size.name(), "backward 784 to 400, 128 rows");
        for family in KernelFamily::value_variants() {
            assert_eq!(serde_json::to_string(family).unwrap(), format!("\"{}\"", family.name()));
        }
    }
}
