//! The self-test of `shaders/optim/accumulate.wgsl`.

use super::State;
use crate::Error;
use crate::optim;
use crate::selftest::bench::{Bench, Output};
use crate::selftest::tolerance::ULP;
use crate::selftest::{Checks, Matrix};
use crate::step::{At, Step};

pub(super) const CHECKS: Checks = &[("optim/accumulate.wgsl:accumulate", check_accumulate)];

/// The step's share of its batch.
const SHARE: f32 = 0.375;

/// The first step of a batch, and a later one.
fn check_accumulate(bench: &mut Bench<'_>) -> Result<(), Error> {
    for chunk in [0, 2] {
        let (gradients, total) = (State::draw(bench, |draw| draw)?, State::draw(bench, |draw| 3.0 * draw)?);
        let step = Step { chunk, chunks_left: 1, share: SHARE, ..bench.step }.upload(bench.gpu)?;
        let dispatch = optim::accumulate(At { step: &step, ..bench.at() }, &gradients.arena, &total.arena)?;
        let before = |total: f64| if chunk == 0 { 0.0 } else { total };
        let pairs = || gradients.words.iter().zip(&total.words);
        let values = pairs().map(|(gradient, total)| f64::from(SHARE) * gradient + before(*total)).collect();
        let errors = pairs().map(|(gradient, total)| ULP * (2.0 * gradient.abs() + before(*total).abs())).collect();
        let [values, errors] = [values, errors].map(Matrix::vector);
        let output = Output::matrix("total", total.arena.whole(), &values, &errors);
        bench.check_variant(&format!("chunk {chunk}"), dispatch, [output])?;
    }
    Ok(())
}
