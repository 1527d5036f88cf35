//! Which family of kernels makes which product: asked for, recorded by a run, measured, or by rule.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Dispatch, Gpu, cache, lock};
use crate::Error;

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

/// How the family of each product is chosen, where the adapter can run several.
#[derive(Clone, Debug, Default)]
pub enum KernelRequest {
    /// By measuring, the first time that an adapter and driver meet a product; later the user's cache has it.
    #[default]
    Measured,
    /// By a fixed rule.
    Fixed,
    /// This family for every product.
    Only(KernelFamily),
    /// As recorded; by the rule what is not.
    As(KernelTable),
}

/// The family of each product that was met, by the product's name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelTable(pub(super) BTreeMap<String, KernelFamily>);

impl fmt::Display for KernelTable {
    /// The families in use, each with the number of its products if there are several.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<(KernelFamily, usize)> = Vec::new();
        for family in self.0.values() {
            match counts.iter_mut().find(|(other, _)| other == family) {
                Some((_, count)) => *count += 1,
                None => counts.push((*family, 1)),
            }
        }
        let name = |family: &KernelFamily| family.to_possible_value().map(|value| value.get_name().to_owned());
        let parts: Vec<_> = match &counts[..] {
            [(family, _)] => name(family).into_iter().collect(),
            several => several.iter().map(|(family, n)| format!("{n} {}", name(family).unwrap_or_default())).collect(),
        };
        f.write_str(&parts.join(", "))
    }
}

impl KernelTable {
    /// Whether some product is made by this family.
    pub fn uses(&self, family: KernelFamily) -> bool {
        self.0.values().any(|other| *other == family)
    }
}

/// A product of matrices, as far as the choice goes.
#[derive(Clone, Copy, Debug)]
pub struct ProductShape<'a> {
    /// What it is called in the table.
    pub name: &'a str,
    /// Rows of all that it makes.
    pub rows: usize,
    /// Columns of what it makes.
    pub columns: usize,
}

/// Below this many threads of [`KernelFamily::Tiles`], a GPU has nothing to hide its latencies with. An estimate: it is what
/// `--no-tune` goes by, and otherwise every adapter measures.
const FEW_THREADS: usize = 4_096;

/// The choice without measuring.
fn by_rule(families: &[KernelFamily], software: bool, product: ProductShape<'_>) -> KernelFamily {
    let threads = product.rows.div_ceil(8) * product.columns.div_ceil(8);
    let few = !software && threads < FEW_THREADS;
    let wanted = if few { KernelFamily::Slices } else { KernelFamily::Tiles };
    if families.contains(&wanted) { wanted } else { families[0] }
}

impl Gpu {
    /// The families that this device chooses from.
    pub fn kernel_families(&self) -> &[KernelFamily] {
        &self.inner.families
    }

    /// The family of every product met so far: what a run records, so that it can be resumed to the same bits.
    pub fn kernel_table(&self) -> KernelTable {
        lock(&self.inner.table).clone()
    }

    /// The family that makes a product; `record` makes the dispatch to measure, with one family's kernel.
    ///
    /// # Errors
    ///
    /// Those of `record`; [`Error::Gpu`] if the device was lost.
    pub(crate) fn choose_family(
        &self,
        product: ProductShape<'_>,
        record: impl Fn(KernelFamily) -> Result<Dispatch, Error>,
    ) -> Result<KernelFamily, Error> {
        if let Some(family) = lock(&self.inner.table).0.get(product.name) {
            return Ok(*family);
        }
        let families = self.kernel_families();
        let known = self.inner.known.0.get(product.name);
        let measure = known.is_none() && matches!(self.inner.request, KernelRequest::Measured) && families.len() > 1;
        let family = match known {
            Some(family) => *family,
            None if measure => {
                let dispatches: Vec<_> = families.iter().map(|family| record(*family)).collect::<Result<_, _>>()?;
                families[super::dispatch::fastest(self, &dispatches)?]
            }
            None => by_rule(families, self.adapter().is_software(), product),
        };
        lock(&self.inner.table).0.insert(product.name.to_owned(), family);
        if measure {
            let mut all = self.inner.known.clone();
            all.0.extend(self.kernel_table().0);
            cache::keep_table(&self.inner.adapter, &all);
        }
        Ok(family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_tiles_for_large_products_and_slices_for_small_ones() {
        let families = [KernelFamily::Tiles, KernelFamily::Slices];
        let product = |rows, columns| ProductShape { name: "", rows, columns };
        assert_eq!(by_rule(&families, false, product(128, 400)), KernelFamily::Slices);
        assert_eq!(by_rule(&families, false, product(4096, 400)), KernelFamily::Tiles);
        assert_eq!(by_rule(&families, true, product(128, 400)), KernelFamily::Tiles);
        assert_eq!(by_rule(&[KernelFamily::Lanes], true, product(128, 400)), KernelFamily::Lanes);
    }
}
