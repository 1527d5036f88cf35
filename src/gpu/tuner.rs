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

/// The time that a program measures for. After it, the rule decides, and the next program measures what is left.
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
    /// Whether another table has the same answers to the questions of this one.
    pub fn is_followed_by(&self, other: &KernelTable) -> bool {
        self.0.iter().all(|(question, candidate)| other.get(question) == Some(candidate))
    }

    /// The questions in order, each with the name of the candidate chosen.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(question, candidate)| (question.as_str(), candidate.as_str()))
    }

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
        let asked_for = match self.inner.request {
            KernelRequest::Only(name) => position(name),
            _ => None,
        };
        let known = asked_for.or_else(|| self.chosen(question).and_then(|name| position(&name)));
        let measured = if known.is_none() { self.measured(question, candidates, flops, record) } else { None };
        let index = known.or(measured).unwrap_or(0);
        let choice = Choice { question: question.to_owned(), candidate: candidates[index].name.to_owned() };
        lock(&self.inner.table).0.insert(choice.question.clone(), choice.candidate.clone());
        if measured.is_some() && matches!(self.inner.request, KernelRequest::Measured) {
            self.keep(&choice);
        }
        (index, choice)
    }

    /// The candidate that was chosen for a question, by this program or an earlier one, or by the run that is resumed.
    pub(crate) fn chosen(&self, question: &str) -> Option<String> {
        let met = lock(&self.inner.table).get(question).map(str::to_owned);
        met.or_else(|| self.inner.known.get(question).map(str::to_owned))
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
        if !all && (candidates.len() < 2 || !self.has_time_to_measure()) {
            return None;
        }
        let start = Instant::now();
        let mark = Measuring::begin(self.adapter());
        let fastest = match all {
            true => self.compare(question, candidates, flops, record),
            false => self.fastest(candidates, flops, record),
        };
        // If the device was lost, the mark stays, and the next program does not try again.
        if let Some(mark) = mark.filter(|_| !self.is_lost()) {
            mark.end();
        }
        *lock(&self.inner.measuring) += start.elapsed();
        let fault = |error| self.note(&format!("{question} cannot be measured, and follows a fixed rule: {error}"));
        fastest.map_err(fault).ok()
    }

    /// Whether the time for measuring is not over yet. Its beginning and its end are noted.
    fn has_time_to_measure(&self) -> bool {
        let spent = *lock(&self.inner.measuring);
        let seconds = MEASURING.as_secs();
        if spent.is_zero() {
            self.note(&format!(
                "measuring the kernels for this adapter and driver, which takes about {seconds} s and is kept"
            ));
        }
        let over = spent > MEASURING;
        if over && self.inner.in_time.swap(false, Ordering::Relaxed) {
            self.note("measuring the kernels: the time is over, the next program measures the rest");
        }
        !over
    }

    /// Measures all candidates, and keeps their times.
    fn compare(
        &self,
        question: &str,
        candidates: &[Candidate],
        flops: f64,
        record: impl Fn(usize) -> Result<Vec<Dispatch>, Error>,
    ) -> Result<usize, Error> {
        let times = self.times(candidates, record)?;
        let timed = times.iter().map(|(index, time, clock)| (candidates[*index], time.as_secs_f64(), *clock));
        let comparison = Comparison { question: question.to_owned(), flops, candidates: timed.collect() };
        lock(&self.inner.comparisons).push(comparison);
        Ok(first_of_least(&times))
    }

    /// The candidate that takes the least time.
    ///
    /// A software adapter takes up to seconds to compile a kernel, and its candidates differ by large factors. If the
    /// first one is near the adapter's peak, the others are not compiled.
    fn fastest(
        &self,
        candidates: &[Candidate],
        flops: f64,
        record: impl Fn(usize) -> Result<Vec<Dispatch>, Error>,
    ) -> Result<usize, Error> {
        /// A time counts as near if it is below this multiple of the least possible time.
        const NEAR: u32 = 8;
        if self.adapter().is_software()
            && self.times(&candidates[..1], &record)?[0].1 <= NEAR * self.least_time(flops)?
        {
            return Ok(0);
        }
        Ok(first_of_least(&self.times(candidates, record)?))
    }

    /// The times of those candidates that this device can run, each with its index: some may be too large for it, or its driver may
    /// refuse them.
    fn times(
        &self,
        candidates: &[Candidate],
        record: impl Fn(usize) -> Result<Vec<Dispatch>, Error>,
    ) -> Result<Vec<(usize, Duration, Clock)>, Error> {
        let (mut recorded, mut fault) = (Vec::new(), None);
        for index in 0..candidates.len() {
            match record(index) {
                Ok(dispatches) => recorded.push((index, dispatches)),
                Err(error) => fault = Some(error),
            }
        }
        let lists: Vec<_> = recorded.iter().map(|(_, dispatches)| dispatches.clone()).collect();
        let mut times = Vec::new();
        for ((index, _), time) in recorded.into_iter().zip(shortest_times(self, &lists)?) {
            match time {
                Ok((time, clock)) => times.push((index, time, clock)),
                Err(error) => {
                    self.note(&format!("the kernels `{}` do not run here: {error}", candidates[index].name));
                    fault = Some(error);
                }
            }
        }
        match fault {
            Some(error) if times.is_empty() => Err(error),
            _ => Ok(times),
        }
    }

    /// Writes a measured choice to the cache, with the earlier ones. A failure is noted once.
    fn keep(&self, choice: &Choice) {
        let mut kept = lock(&self.inner.kept);
        kept.0.insert(choice.question.clone(), choice.candidate.clone());
        let mut all = self.inner.known.clone();
        all.0.extend(kept.0.clone());
        if let Err(note) = cache::keep_table(self.adapter(), &all)
            && self.inner.keeps.swap(false, Ordering::Relaxed)
        {
            self.note(&note);
        }
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

/// The index of the first of the shortest times.
fn first_of_least(times: &[(usize, Duration, Clock)]) -> usize {
    times.iter().min_by_key(|(_, time, _)| *time).map_or(0, |(index, ..)| *index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Tensor;

    fn candidate(name: &'static str) -> Candidate {
        Candidate { name, bytes: None, expected_seconds: None }
    }

    #[test]
    fn a_candidate_that_cannot_be_recorded_is_left_out() -> Result<(), Error> {
        let gpu = Gpu::open(&AdapterRequest { kernels: KernelRequest::Compared, ..AdapterRequest::default() })?;
        let result = Tensor::zeros(&gpu, 4096, 4)?;
        let record = |index: usize| match index {
            1 => Err(Error::Shader { shader: "none".to_owned(), reason: "broken".to_owned() }),
            _ => Ok(vec![peak::multiply_adds(&gpu, if index == 0 { 1 << 12 } else { 1 }, &result)?]),
        };
        let candidates = ["long", "broken", "short"].map(candidate);
        let (index, choice) = gpu.choose("which", &candidates, 1.0, record);
        assert_eq!((index, choice.candidate.as_str()), (2, "short"));
        assert_eq!(gpu.chosen("which").as_deref(), Some("short"));
        let names: Vec<_> = gpu.comparisons()[0].candidates.iter().map(|(candidate, ..)| candidate.name).collect();
        assert_eq!(names, ["long", "short"]);
        // If none can be recorded, the first one is chosen.
        let (index, _) = gpu.choose("none", &candidates[..2], 1.0, |_| record(1));
        assert_eq!((index, gpu.comparisons().len()), (0, 1));
        Ok(())
    }

    #[test]
    fn a_table_is_followed_if_it_has_the_same_answers_to_its_own_questions() {
        let table = |pairs: &[(&str, &str)]| {
            let choice = |(question, candidate): &(&str, &str)| Choice {
                question: (*question).to_owned(),
                candidate: (*candidate).to_owned(),
            };
            pairs.iter().map(choice).collect::<KernelTable>()
        };
        let begun = table(&[("a", "x"), ("b", "y")]);
        assert!(begun.is_followed_by(&table(&[("a", "x"), ("b", "y"), ("new", "z")])));
        assert!(
            !begun.is_followed_by(&table(&[("a", "x"), ("b", "z")])) && !begun.is_followed_by(&table(&[("a", "x")]))
        );
    }
}
