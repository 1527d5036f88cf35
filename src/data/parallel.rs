//! Work on many examples, on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The name of the threads, by which a program can keep quiet about panics of decoders: they become errors.
pub const THREAD: &str = "elbo-data";

/// The result of `work` for each item, in order. If `work` fails and `all` is not set, no further items are begun, and the last
/// result is the first failure.
///
/// `progress` is told the number of items that are done.
pub(crate) fn map<T: Send, R: Send, E: Send>(
    items: impl Iterator<Item = T> + Send,
    all: bool,
    work: impl Fn(T) -> Result<R, E> + Sync,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Result<R, E>> {
    let items = Mutex::new(items.enumerate());
    let results = Mutex::new(Vec::new());
    let (failed, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Items are begun in order, and what was begun is finished: so the first failure is among the results.
    let run = || {
        loop {
            let next = if failed.load(Ordering::Relaxed) { None } else { lock(&items).next() };
            let Some((index, item)) = next else { return };
            let result = work(item);
            failed.fetch_or(!all && result.is_err(), Ordering::Relaxed);
            lock(&results).push((index, result));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            // If no thread can be made, the work is done below.
            let _ = thread::Builder::new().name(THREAD.into()).spawn_scoped(scope, run);
        }
    });
    run();
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_by_key(|(index, _)| *index);
    let first_failure = results.iter().position(|(_, result)| result.is_err());
    if let (Some(at), false) = (first_failure, all) {
        results.truncate(at + 1);
    }
    results.into_iter().map(|(_, result)| result).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The result of `work`, or what it panicked with: decoders panic on some damaged files.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
        format!("something that breaks the decoder ({})", text.unwrap_or("no reason given").replace('\n', " "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_the_first_failure_is_the_last() {
        let doubled = map(0..1000, false, |i| Ok::<_, ()>(2 * i), &|_| ());
        assert_eq!(doubled, (0..1000).map(|i| Ok(2 * i)).collect::<Vec<_>>());
        let work = |i: i32| if i % 100 == 77 { Err(i) } else { Ok(i) };
        let stopped = map(0..1000, false, work, &|_| ());
        assert_eq!((stopped.len(), stopped.last()), (78, Some(&Err(77))));
        assert_eq!(map(0..1000, true, work, &|_| ()).iter().filter(|result| result.is_err()).count(), 10);
    }

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| 1), Ok(1));
        let message = guarded(|| panic!("index out of bounds")).unwrap_err();
        assert_eq!(message, "something that breaks the decoder (index out of bounds)");
    }
}
