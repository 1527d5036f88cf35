//! Which family of kernels makes which product: asked for, recorded by a run, measured, or by rule.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::cache::Measuring;
use super::profile::shortest_times;
use super::{AdapterRequest, AdapterSummary, Dispatch, Gpu, cache, lock, peak};
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

/// A product of matrices, as far as the choice is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product<'a> {
    /// What it is called in the table.
    pub name: &'a str,
    /// Rows of all results.
    pub rows: usize,
    /// Columns of the results.
    pub columns: usize,
    /// Floating-point operations.
    pub flops: f64,
}

/// What is asked for, and the choices that are there already: from a run, or from the cache.
pub(super) fn known(
    request: &AdapterRequest,
    adapter: &AdapterSummary,
    families: &[KernelFamily],
) -> (KernelRequest, KernelTable) {
    let note = |note: String| request.notify.iter().for_each(|notify| notify(&note));
    match &request.kernels {
        KernelRequest::Measured if families.len() > 1 => {
            if let Some(path) = Measuring::left_over(adapter) {
                note(format!(
                    "an earlier program ended while it measured kernels on {adapter}: the choice goes by a fixed rule \
                     (delete {} to measure again)",
                    path.display()
                ));
                return (KernelRequest::Fixed, KernelTable::default());
            }
            let kept = cache::table(adapter).unwrap_or_else(|reason| {
                note(reason);
                KernelTable::default()
            });
            (KernelRequest::Measured, kept)
        }
        KernelRequest::As(table) => (request.kernels.clone(), table.clone()),
        _ => (request.kernels.clone(), KernelTable::default()),
    }
}

/// Below this many threads of [`KernelFamily::Tiles`], a GPU has nothing to hide its latencies with. An estimate: it is what
/// `--no-tune` goes by, and otherwise every adapter measures.
const FEW_THREADS: usize = 4_096;

/// The choice without measuring: the first of the families on a CPU.
fn by_rule(families: &[KernelFamily], software: bool, product: Product<'_>) -> KernelFamily {
    let threads = product.rows.div_ceil(8) * product.columns.div_ceil(8);
    let wanted = if threads < FEW_THREADS { KernelFamily::Slices } else { KernelFamily::Tiles };
    if !software && families.contains(&wanted) { wanted } else { families[0] }
}

impl Gpu {
    /// The families that this device chooses from, on a CPU those first that are likely to be the fastest.
    pub fn kernel_families(&self) -> &[KernelFamily] {
        &self.inner.families
    }

    /// The family of every product met so far: what a run records, so that it can be resumed to the same bits.
    pub fn kernel_table(&self) -> KernelTable {
        lock(&self.inner.table).clone()
    }

    /// The one of `families` that makes a product; `record` makes the dispatch to measure, with one family's kernel.
    ///
    /// What cannot be measured goes by the rule, with a note.
    pub(crate) fn choose_family(
        &self,
        product: Product<'_>,
        families: &[KernelFamily],
        record: impl Fn(KernelFamily) -> Result<Dispatch, Error>,
    ) -> KernelFamily {
        let of = |table: &KernelTable| table.0.get(product.name).copied().filter(|family| families.contains(family));
        let met = of(&lock(&self.inner.table));
        let known = met.or_else(|| of(&self.inner.known));
        let measures = matches!(self.inner.request, KernelRequest::Measured) && families.len() > 1;
        let measured = if known.is_none() && measures { self.measured(product, families, record) } else { None };
        let rule = || by_rule(families, self.adapter().is_software(), product);
        let family = known.or(measured).unwrap_or_else(rule);
        lock(&self.inner.table).0.insert(product.name.to_owned(), family);
        if measured.is_some() {
            self.keep_choices();
        }
        family
    }

    /// The family that takes the least time, or none, with a note, if that cannot be measured.
    fn measured(
        &self,
        product: Product<'_>,
        families: &[KernelFamily],
        record: impl Fn(KernelFamily) -> Result<Dispatch, Error>,
    ) -> Option<KernelFamily> {
        let measuring = Measuring::begin(self.adapter());
        let fastest = self.fastest(product, families, record);
        // Where the driver gave up, the mark stays, and the next program does not try again.
        if let Some(measuring) = measuring.filter(|_| !matches!(fastest, Err(Error::Gpu { .. }))) {
            measuring.end();
        }
        let fault =
            |error| self.note(&format!("{} cannot be measured, and goes by a fixed rule: {error}", product.name));
        fastest.map_err(fault).ok()
    }

    /// Keeps the choices so far beside those that were there; that it cannot be done is noted once.
    fn keep_choices(&self) {
        let mut all = self.inner.known.clone();
        all.0.extend(self.kernel_table().0);
        if let Err(note) = cache::keep_table(self.adapter(), &all)
            && self.inner.kept.swap(false, Ordering::Relaxed)
        {
            self.note(&note);
        }
    }

    /// The family that takes the least time.
    ///
    /// A software adapter compiles a kernel for up to seconds, and its families differ by several times: where the first one
    /// is near what the adapter can do at all, the others are not compiled.
    fn fastest(
        &self,
        product: Product<'_>,
        families: &[KernelFamily],
        record: impl Fn(KernelFamily) -> Result<Dispatch, Error>,
    ) -> Result<KernelFamily, Error> {
        /// How many times the least possible time is near.
        const NEAR: u32 = 8;
        let mut dispatches = vec![record(families[0])?];
        let near = self.adapter().is_software() && {
            let least = self.least_time(product)?;
            shortest_times(self, &dispatches)?[0] <= NEAR * least
        };
        let mut fastest = 0;
        if !near {
            dispatches.extend(families[1..].iter().map(|family| record(*family)).collect::<Result<Vec<_>, _>>()?);
            let times = shortest_times(self, &dispatches)?;
            fastest = (0..times.len()).min_by_key(|index| times[*index]).unwrap_or_default();
        }
        Ok(families[fastest])
    }

    /// The time that a product takes at the adapter's peak, with an empty dispatch.
    fn least_time(&self, product: Product<'_>) -> Result<Duration, Error> {
        let mut peak = lock(&self.inner.peak);
        let (empty, rate) = match *peak {
            Some(peak) => peak,
            None => *peak.insert(peak::estimate(self)?),
        };
        Ok(empty + Duration::from_secs_f64(product.flops / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_tiles_for_large_products_and_slices_for_small_ones() {
        let families = [KernelFamily::Tiles, KernelFamily::Slices];
        let product = |rows, columns| Product { name: "", rows, columns, flops: 0.0 };
        assert_eq!(by_rule(&families, false, product(128, 400)), KernelFamily::Slices);
        assert_eq!(by_rule(&families, false, product(4096, 400)), KernelFamily::Tiles);
        assert_eq!(by_rule(&families, true, product(128, 400)), KernelFamily::Tiles);
        let families = [KernelFamily::Lanes, KernelFamily::Tiles, KernelFamily::Slices];
        assert_eq!(by_rule(&families, true, product(128, 400)), KernelFamily::Lanes);
    }
}
