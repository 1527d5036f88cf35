//! Optimisers, the schedules of their learning rate, and the gradients of batches that come in parts.

mod accumulate;
mod adam;
pub mod schedule;

pub use accumulate::accumulate;
pub use adam::Adam;

use crate::Error;
use crate::gpu::Arena;

/// The words that each of several arenas has.
fn same_length(operation: &'static str, arenas: &[&Arena]) -> Result<usize, Error> {
    let length = |arena: &&Arena| arena.whole().padded_len();
    let expected = arenas.first().map_or(0, length);
    match arenas.iter().map(length).find(|found| *found != expected) {
        None => Ok(expected),
        Some(found) => Err(Error::Shape {
            operation,
            expected: format!("arenas of {expected} words"),
            found: format!("{found} words"),
        }),
    }
}
