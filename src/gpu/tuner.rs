//! The choice between kernels with the same result: requested, recorded by a run, measured, or made by a rule.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::cache::Measuring;
use super::profile::shortest_times;
use super::{AdapterRequest, AdapterSummary, Clock, Dispatch, Gpu, cache, lock, peak};
use crate::Error;

/// The time that measuring may take before a program trains: a product that begins later follows the rule, and the next
/// program measures it.
const MEASURING: Duration = Duration::from_secs(2);

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
    /// By measuring all candidates, whatever the cache has. [`Gpu::comparisons`] has the times.
    Compared,
}

impl KernelRequest {
    /// Whether it asks for a candidate by name.
    pub fn names(&self, candidate: &str) -> bool {
        match self {
            KernelRequest::Only(name) => *name == candidate,
            KernelRequest::As(table) => table.0.values().any(|name| name == candidate),
            KernelRequest::Measured | KernelRequest::Fixed | KernelRequest::Compared => false,
        }
    }
}

/// A kernel that may be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its name in tables of choices.
    pub name: &'static str,
    /// Bytes that its workgroups load and store, if that is known.
    pub bytes: Option<f64>,
    /// The time that it is expected to take, if that is known.
    pub expected_seconds: Option<f64>,
}

/// The times of all candidates for one question.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The question, as in the table of choices.
    pub question: String,
    /// Floating-point operations of each candidate.
    pub flops: f64,
    /// The candidates, each with its time in seconds and the clock that measured it, the rule's choice first.
    pub candidates: Vec<(Candidate, f64, Clock)>,
}

/// The choices made: for each question the name of the candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelTable(pub(super) BTreeMap<String, String>);

impl KernelTable {
    /// The name of the candidate chosen for a question.
    pub fn get(&self, question: &str) -> Option<&str> {
        self.0.get(question).map(String::as_str)
    }
}

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
        KernelRequest::Fixed | KernelRequest::Only(_) | KernelRequest::Compared => {
            (request.kernels.clone(), KernelTable::default())
        }
    }
}

impl Gpu {
    /// How choices are made.
    pub fn kernel_request(&self) -> &KernelRequest {
        &self.inner.request
    }

    /// The measurements so far, if all candidates are compared.
    pub fn comparisons(&self) -> Vec<Comparison> {
        lock(&self.inner.comparisons).clone()
    }

    /// Chooses one of several kernels with the same result. Returns its index, and the choice to record.
    ///
    /// The first candidate is the choice without measuring, `flops` the floating-point operations, and `record` makes the
    /// dispatches to measure for one of the candidates. If measuring fails, the first one is chosen, with a note.
    pub(crate) fn choose(
        &self,
        question: &str,
        candidates: &[Candidate],
        flops: f64,
        record: impl Fn(usize) -> Result<Vec<Dispatch>, Error>,
    ) -> (usize, Choice) {
        let position = |name: &str| candidates.iter().position(|candidate| candidate.name == name);
        let of = |table: &KernelTable| table.0.get(question).and_then(|name| position(name));
        let met = of(&lock(&self.inner.table));
        let asked_for = match self.inner.request {
            KernelRequest::Only(name) => position(name),
            _ => None,
        };
        let known = asked_for.or(met).or_else(|| of(&self.inner.known));
        let measured = if known.is_none() { self.measured(question, candidates, flops, record) } else { None };
        let index = known.or(measured).unwrap_or(0);
        let choice = Choice { question: question.to_owned(), candidate: candidates[index].name.to_owned() };
        lock(&self.inner.table).0.insert(choice.question.clone(), choice.candidate.clone());
        if measured.is_some() && matches!(self.inner.request, KernelRequest::Measured) {
            self.keep_choices();
        }
        (index, choice)
    }

    /// The candidate that takes the least time, or none if nothing is to be measured. A note says why if measuring fails.
    fn measured(
        &self,
        question: &str,
        candidates: &[Candidate],
        flops: f64,
        record: impl Fn(usize) -> Result<Vec<Dispatch>, Error>,
    ) -> Option<usize> {
        let all = match self.inner.request {
            KernelRequest::Measured => false,
            KernelRequest::Compared => true,
            _ => return None,
        };
        let spent = *lock(&self.inner.measuring);
        if !all && (candidates.len() < 2 || spent > MEASURING) {
            return None;
        }
        if !all && spent.is_zero() {
            let seconds = MEASURING.as_secs();
            self.note(&format!(
                "measuring the kernels for this adapter and driver, which takes about {seconds} s and is kept"
            ));
        }
        let start = Instant::now();
        let mark = Measuring::begin(self.adapter());
        let fastest = match all {
            true => self.compare(question, candidates, flops, record),
            false => self.fastest(candidates.len(), flops, record),
        };
        // If the driver failed, the mark stays, and the next program does not try again.
        if let Some(mark) = mark.filter(|_| !matches!(fastest, Err(Error::Gpu { .. }))) {
            mark.end();
        }
        *lock(&self.inner.measuring) += start.elapsed();
        let fault = |error| self.note(&format!("{question} cannot be measured, and follows a fixed rule: {error}"));
        fastest.map_err(fault).ok()
    }

    /// Measures all candidates, and keeps their times.
    fn compare(
        &self,
        question: &str,
        candidates: &[Candidate],
        flops: f64,
        record: impl Fn(usize) -> Result<Vec<Dispatch>, Error>,
    ) -> Result<usize, Error> {
        let dispatches = (0..candidates.len()).map(record).collect::<Result<Vec<_>, _>>()?;
        let times = shortest_times(self, &dispatches)?;
        let timed =
            candidates.iter().zip(&times).map(|(candidate, (time, clock))| (*candidate, time.as_secs_f64(), *clock));
        let comparison = Comparison { question: question.to_owned(), flops, candidates: timed.collect() };
        lock(&self.inner.comparisons).push(comparison);
        Ok(first_of_least(&times))
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
        record: impl Fn(usize) -> Result<Vec<Dispatch>, Error>,
    ) -> Result<usize, Error> {
        /// A time counts as near if it is below this multiple of the least possible time.
        const NEAR: u32 = 8;
        let mut dispatches = vec![record(0)?];
        if self.adapter().is_software() && shortest_times(self, &dispatches)?[0].0 <= NEAR * self.least_time(flops)? {
            return Ok(0);
        }
        dispatches.extend((1..candidates).map(record).collect::<Result<Vec<_>, _>>()?);
        Ok(first_of_least(&shortest_times(self, &dispatches)?))
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

/// The first of the shortest times.
fn first_of_least(times: &[(Duration, Clock)]) -> usize {
    (0..times.len()).min_by_key(|index| times[*index].0).unwrap_or_default()
}
