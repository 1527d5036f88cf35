//! The self-test of `shaders/optim/`, on arenas of the shape of a layer.

mod accumulate;
pub mod adam;
mod clip;

use super::Checks;
use super::bench::Bench;
use crate::Error;
use crate::gpu::Arena;
use crate::nn::{self, Dense, Layer};

pub(super) const CHECKS: &[Checks] = &[adam::CHECKS, accumulate::CHECKS, clip::CHECKS];

/// An arena of a layer's shape, and all of its words, padding included.
struct State {
    arena: Arena,
    words: Vec<f64>,
}

impl State {
    /// Draws the values of an arena.
    fn draw(bench: &mut Bench<'_>, value: impl Fn(f32) -> f32) -> Result<State, Error> {
        let layer = Dense::new("layer", bench.sizes.columns, bench.sizes.outputs);
        let arena = nn::arena(bench.gpu, &layer.parameters())?;
        for (_, tensor) in arena.tensors() {
            let values: Vec<f32> = (0..tensor.rows() * tensor.columns()).map(|_| value(bench.draw())).collect();
            tensor.write(bench.gpu, &values)?;
        }
        let words: Vec<f32> = arena.whole().read(bench.gpu)?;
        Ok(State { arena, words: words.into_iter().map(f64::from).collect() })
    }
}
