//! The choice between kernels with the same result: requested, recorded by a run, measured, or made by a rule.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cache::Measuring;
use super::profile::shortest_times;
use super::{AdapterRequest, AdapterSummary, Dispatch, Gpu, cache, lock, peak};
use crate::Error;

/// How kernels are chosen, if there are several.
#[derive(Clone, Debug, Default)]
pub enum KernelRequest {
    /// By measuring the first time; after that, from the user's cache for this adapter and driver.
    #[default]
    Measured,
    /// By a fixed rule.
    Fixed,
    /// The candidate of this name, wherever there is one.
    Only(&'static str),
    /// As recorded; by the rule if there is no record.
    As(KernelTable),
}

impl KernelRequest {
    /// Whether it asks for a candidate by name.
    pub fn names(&self, candidate: &str) -> bool {
        match self {
            KernelRequest::Only(name) => *name == candidate,
            KernelRequest::As(table) => table.0.values().any(|name| name == candidate),
            KernelRequest::Measured | KernelRequest::Fixed => false,
        }
    }
}

/// The choices made: for each question the name of the candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelTable(pub(super) BTreeMap<String, String>);

impl fmt::Display for KernelTable {
    /// The candidates in use, each with the number of its choices if there are several.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for name in self.0.values() {
            match counts.iter_mut().find(|(other, _)| other == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        let parts: Vec<_> = match &counts[..] {
            [(name, _)] => vec![(*name).to_owned()],
            several => several.iter().map(|(name, count)| format!("{count} {name}")).collect(),
        };
        f.write_str(&parts.join(", "))
    }
}

/// A choice made: the question, and the name of the candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub(super) question: String,
    pub(super) candidate: String,
}

impl FromIterator<Choice> for KernelTable {
    fn from_iter<I: IntoIterator<Item = Choice>>(choices: I) -> KernelTable {
        KernelTable(choices.into_iter().map(|choice| (choice.question, choice.candidate)).collect())
    }
}

/// The request, and the choices that are known already: from a run, or from the cache.
pub(super) fn known(request: &AdapterRequest, adapter: &AdapterSummary) -> (KernelRequest, KernelTable) {
    let note = |note: String| request.notify.iter().for_each(|notify| notify(&note));
    match &request.kernels {
        KernelRequest::Measured => {
            if let Some(path) = Measuring::left_over(adapter) {
                note(format!(
                    "an earlier program ended while it measured kernels on {adapter}: the choice follows a fixed rule \
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
        KernelRequest::Fixed | KernelRequest::Only(_) => (request.kernels.clone(), KernelTable::default()),
    }
}

impl Gpu {
    /// How choices are made.
    pub fn kernel_request(&self) -> &KernelRequest {
        &self.inner.request
    }

    /// Chooses one of several kernels with the same result. Returns its index, and the choice to record.
    ///
    /// `rule` is the index of the choice without measuring, `flops` the floating-point operations, and `record` makes
    /// the dispatch to measure for one of the candidates. If measuring fails, the rule decides, with a note.
    pub(crate) fn choose(
        &self,
        question: &str,
        candidates: &[&str],
        rule: usize,
        flops: f64,
        record: impl Fn(usize) -> Result<Dispatch, Error>,
    ) -> (usize, Choice) {
        let position = |name: &str| candidates.iter().position(|candidate| *candidate == name);
        let of = |table: &KernelTable| table.0.get(question).and_then(|name| position(name));
        let met = of(&lock(&self.inner.table));
        let asked_for = match self.inner.request {
            KernelRequest::Only(name) => position(name),
            _ => None,
        };
        let known = asked_for.or(met).or_else(|| of(&self.inner.known));
        let measures = matches!(self.inner.request, KernelRequest::Measured) && candidates.len() > 1;
        let measured =
            if known.is_none() && measures { self.measured(question, candidates.len(), flops, record) } else { None };
        let index = known.or(measured).unwrap_or(rule);
        let choice = Choice { question: question.to_owned(), candidate: candidates[index].to_owned() };
        lock(&self.inner.table).0.insert(choice.question.clone(), choice.candidate.clone());
        if measured.is_some() {
            self.keep_choices();
        }
        (index, choice)
    }

    /// The candidate that takes the least time, or none, with a note, if that cannot be measured.
    fn measured(
        &self,
        question: &str,
        candidates: usize,
        flops: f64,
        record: impl Fn(usize) -> Result<Dispatch, Error>,
    ) -> Option<usize> {
        let measuring = Measuring::begin(self.adapter());
        let fastest = self.fastest(candidates, flops, record);
        // If the driver failed, the mark stays, and the next program does not try again.
        if let Some(measuring) = measuring.filter(|_| !matches!(fastest, Err(Error::Gpu { .. }))) {
            measuring.end();
        }
        let fault = |error| self.note(&format!("{question} cannot be measured, and follows a fixed rule: {error}"));
        fastest.map_err(fault).ok()
    }

    /// Writes the choices so far to the cache, with the earlier ones. A failure is noted once.
    fn keep_choices(&self) {
        let mut all = self.inner.known.clone();
        all.0.extend(lock(&self.inner.table).0.clone());
        if let Err(note) = cache::keep_table(self.adapter(), &all)
            && self.inner.kept.swap(false, Ordering::Relaxed)
        {
            self.note(&note);
        }
    }

    /// The candidate that takes the least time.
    ///
    /// A software adapter takes up to seconds to compile a kernel, and its candidates differ by large factors. If the
    /// first one is near the adapter's peak, the others are not compiled.
    fn fastest(
        &self,
        candidates: usize,
        flops: f64,
        record: impl Fn(usize) -> Result<Dispatch, Error>,
    ) -> Result<usize, Error> {
        /// A time counts as near if it is below this multiple of the least possible time.
        const NEAR: u32 = 8;
        let mut dispatches = vec![record(0)?];
        if self.adapter().is_software() && shortest_times(self, &dispatches)?[0] <= NEAR * self.least_time(flops)? {
            return Ok(0);
        }
        dispatches.extend((1..candidates).map(record).collect::<Result<Vec<_>, _>>()?);
        let times = shortest_times(self, &dispatches)?;
        Ok((0..times.len()).min_by_key(|index| times[*index]).unwrap_or_default())
    }

    /// The time of floating-point operations at the adapter's peak, plus that of an empty dispatch.
    fn least_time(&self, flops: f64) -> Result<Duration, Error> {
        let mut peak = lock(&self.inner.peak);
        let (empty, rate) = match *peak {
            Some(peak) => peak,
            None => *peak.insert(peak::estimate(self)?),
        };
        Ok(empty + Duration::from_secs_f64(flops / rate))
    }
}
