//! Variants of the kernels for products, from `shaders/nn/dense/variants.txt`, and which of them a device can run.

use std::fmt;
use std::sync::LazyLock;

use crate::Error;
use crate::gpu::{Gpu, KernelRequest, Source};

/// The files of the kernels that multiply matrices; the code that records a product has their table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Tiles of 8 x 8 in a thread's registers.
    Tiles,
    /// Sums cut into slices within a workgroup.
    Slices,
    /// Tiles through workgroup memory.
    Workgroup,
    /// Tiles over clusters of 8 lanes of a subgroup.
    Lanes,
}

impl Family {
    const ALL: [Family; 4] = [Family::Tiles, Family::Slices, Family::Workgroup, Family::Lanes];

    fn name(self) -> &'static str {
        match self {
            Family::Tiles => "tiles",
            Family::Slices => "slices",
            Family::Workgroup => "workgroup",
            Family::Lanes => "lanes",
        }
    }
}

/// A kernel for products: the files of a family and the sizes of its tiles. All variants compute the same, up to rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    name: &'static str,
    purpose: &'static str,
    pub(super) family: Family,
    constants: Vec<(&'static str, u32)>,
}

/// The sizes of a product of matrices. The choice of its kernel depends on them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProductSize {
    /// The kind of layer, as the start of a name; empty for a dense one.
    pub layer: &'static str,
    /// The entry point.
    pub entry: &'static str,
    /// Columns of the layer's input.
    pub inputs: usize,
    /// Columns of the layer's output.
    pub outputs: usize,
    /// Rows of both.
    pub batch: usize,
}

impl ProductSize {
    /// The name in a run's table of kernels and in the user's cache: with another name, the product would be measured
    /// again, and a run would not resume with the same bits.
    pub(super) fn name(self) -> String {
        let ProductSize { layer, entry, inputs, outputs, batch } = self;
        format!("{layer}{entry} {inputs} to {outputs}, {batch} rows")
    }

    /// Rows, columns and terms of each result: the weight's gradient before the input's.
    pub fn results(self) -> Vec<[usize; 3]> {
        let ProductSize { inputs, outputs, batch, .. } = self;
        let (dweight, dinput) = ([outputs, inputs, batch], [batch, inputs, outputs]);
        match self.entry {
            "forward" => vec![[batch, outputs, inputs]],
            "backward_weight" => vec![dweight],
            "transposed" => vec![dinput],
            _ => vec![dweight, dinput],
        }
    }

    /// Floating-point operations.
    pub fn flops(self) -> f64 {
        2.0 * self.results().iter().map(|sizes| sizes.iter().product::<usize>() as f64).sum::<f64>()
    }
}

static ALL: LazyLock<Vec<Variant>> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/nn/dense/variants.txt"));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Variant::parse(line).unwrap_or_else(|| panic!("shaders/nn/dense/variants.txt: {line}"))).collect()
});

impl Variant {
    /// All variants, in the order of the file.
    pub fn all() -> &'static [Variant] {
        &ALL
    }

    /// The variant of a name.
    pub fn named(name: &str) -> Option<&'static Variant> {
        Variant::all().iter().find(|variant| variant.name == name)
    }

    /// A line `name: family, CONSTANT value, ...: purpose`.
    fn parse(line: &'static str) -> Option<Variant> {
        let (name, rest) = line.split_once(": ")?;
        let (sizes, purpose) = rest.split_once(": ")?;
        let mut sizes = sizes.split(", ");
        let family = sizes.next()?;
        let family = Family::ALL.into_iter().find(|known| known.name() == family)?;
        let constant = |size: &'static str| size.split_once(' ').and_then(|(name, n)| Some((name, n.parse().ok()?)));
        Some(Variant { name, purpose, family, constants: sizes.map(constant).collect::<Option<_>>()? })
    }

    /// The name, as on the command line and on disk.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name of its files, `shaders/nn/dense/FAMILY.wgsl` and those in the folder of that name.
    pub fn family(&self) -> &'static str {
        self.family.name()
    }

    /// What it is for, in a few words.
    pub fn purpose(&self) -> &'static str {
        self.purpose
    }

    /// One of its constants; 1 if it has none of that name.
    pub(super) fn constant(&self, name: &str) -> usize {
        self.constants.iter().find(|(other, _)| *other == name).map_or(1, |(_, value)| *value as usize)
    }

    /// The part for the slot `sizes`.
    pub fn sizes(&self) -> Source {
        Source::of_constants(self.name, &self.constants)
    }

    /// Slices whose sums are added in a second pass.
    pub(super) fn passes(&self) -> usize {
        if self.family == Family::Workgroup { self.constant("SLICES") } else { 1 }
    }

    /// Whether it is made for adapters that run on a CPU: then its operands are textures.
    pub(super) fn reads_textures(&self) -> bool {
        self.family == Family::Lanes && self.constant("CLUSTERS") == 1
    }

    /// Whether a device can run it at all.
    pub fn runs_on(&self, gpu: &Gpu) -> bool {
        const LANES: u32 = 8;
        match self.family {
            Family::Lanes if self.reads_textures() => gpu.has_subgroups_of(LANES) && gpu.reads_textures(),
            Family::Lanes => gpu.has_subgroups_of_at_least(LANES),
            _ => true,
        }
    }

    /// Checks that a device can run it.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] if it cannot.
    pub fn require(&self, gpu: &Gpu) -> Result<(), Error> {
        if self.runs_on(gpu) {
            return Ok(());
        }
        let adapter = gpu.adapter();
        let lanes = if self.reads_textures() { "8" } else { "at least 8" };
        let reason = format!(
            "the kernels `{self}` need subgroups of {lanes}, which {adapter} does not have; take other kernels or another adapter"
        );
        Err(Error::Adapter { reason })
    }

    /// The variants that a device chooses from, the plainest of each kind first. On a software adapter, which compiles slowly, the
    /// list is short, and the one that is likely to be the fastest comes first. Those that are requested are added.
    pub fn of(gpu: &Gpu) -> Vec<&'static Variant> {
        let software = gpu.adapter().is_software();
        let curated = |variant: &Variant| match software {
            true => ["lanes", "lanes-low", "tiles", "slices"].contains(&variant.name),
            false => !variant.reads_textures(),
        };
        let wanted = |variant: &&Variant| {
            let request = gpu.kernel_request();
            let wanted = matches!(request, KernelRequest::Compared) || request.names(variant.name);
            (curated(variant) || wanted) && variant.runs_on(gpu)
        };
        let mut variants: Vec<_> = Variant::all().iter().filter(wanted).collect();
        variants.sort_by_key(|variant| !(software && variant.reads_textures()));
        variants
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_file_is_a_variant_with_a_purpose() {
        let names: Vec<_> = Variant::all().iter().map(Variant::name).collect();
        for (index, variant) in Variant::all().iter().enumerate() {
            assert!(!names[..index].contains(&variant.name), "{variant} is there twice");
            assert!(variant.purpose.len() > 10 && variant.constant("TILE_COLUMNS").is_multiple_of(32), "{variant:?}");
        }
        // On disk: a run that names one must find it.
        for name in ["tiles", "slices", "lanes"] {
            assert!(names.contains(&name));
        }
        for wrong in
            ["tiles", "tiles: tiles", "x: other, A 1: purpose", "x: tiles, A: purpose", "x: tiles, A -1: purpose"]
        {
            assert_eq!(Variant::parse(wrong), None);
        }
    }

    #[test]
    fn names_on_disk_stay_as_they_are() {
        let size = ProductSize { layer: "", entry: "backward", inputs: 784, outputs: 400, batch: 128 };
        assert_eq!(size.name(), "backward 784 to 400, 128 rows");
        assert_eq!(size.flops(), 4.0 * 784.0 * 400.0 * 128.0);
    }
}
