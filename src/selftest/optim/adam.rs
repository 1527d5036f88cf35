//! The self-test of `shaders/optim/adam.wgsl` and of the files below it.

use super::State;
use crate::Error;
use crate::optim::{Adam, Clip, ClipConfig, OnNan, Update, Words};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::tolerance::{DIVISION, SQRT, ULP};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks = &[("optim/adam.wgsl:update", check_update)];

/// A parameter and its moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamState {
    /// The parameter.
    pub parameter: f64,
    /// The mean of its gradients.
    pub moment1: f64,
    /// The mean of their squares.
    pub moment2: f64,
}

impl AdamState {
    /// The state after update `t` with a gradient.
    ///
    /// # Source
    ///
    /// Kingma & Ba 2015, Algorithm 1.
    pub fn updated(self, adam: Adam, t: u32, learning_rate: f64, gradient: f64) -> AdamState {
        let Adam { beta1, beta2, epsilon } = adam;
        let moment1 = beta1 * self.moment1 + (1.0 - beta1) * gradient;
        let moment2 = beta2 * self.moment2 + (1.0 - beta2) * gradient * gradient;
        let corrected1 = moment1 / (1.0 - beta1.powf(f64::from(t)));
        let corrected2 = moment2 / (1.0 - beta2.powf(f64::from(t)));
        let parameter = self.parameter - learning_rate * corrected1 / (corrected2.sqrt() + epsilon);
        AdamState { parameter, moment1, moment2 }
    }
}

/// A factor that clips gradients, in `f32` exactly.
const FACTOR: f64 = 0.375;

/// In every kind of words that the adapter has, with gradients as they are, clipped, and left out, and of the encoder alone.
fn check_update(bench: &mut Bench<'_>) -> Result<(), Error> {
    let words = [Words::Quads, Words::Lanes];
    for words in words.into_iter().take(if bench.gpu.has_wide_words() { 2 } else { 1 }) {
        check_words(bench, words, "", None)?;
        check_words(bench, words, "clipped", Some([1.0, FACTOR as f32, 0.0, 0.0]))?;
        check_words(bench, words, "left out", Some([f32::INFINITY, 1.0, 1.0, 0.0]))?;
        let of_all = bench.step.optimiser;
        bench.step.optimiser[1] = [0.0; 4];
        bench.step.write_to(bench.gpu, &bench.step_tensor)?;
        check_words(bench, words, "the encoder alone", None)?;
        bench.step.optimiser = of_all;
        bench.step.write_to(bench.gpu, &bench.step_tensor)?;
    }
    Ok(())
}

fn check_words(bench: &mut Bench<'_>, words: Words, name: &str, clip: Option<[f32; 4]>) -> Result<(), Error> {
    let gradients = State::draw(bench, |draw| 0.1 * draw)?;
    let parameters = State::draw(bench, |draw| draw)?;
    let moment1 = State::draw(bench, |draw| 0.1 * draw)?;
    let moment2 = State::draw(bench, |draw| 0.01 * draw * draw)?;
    let adam = Adam::default();
    let states = [moment1.arena.clone(), moment2.arena.clone()];
    let config = ClipConfig { clip_norm: clip.map(|_| 1.0), on_nan: OnNan::Stop };
    let clipping = Clip::new(bench.gpu, &gradients.arena, config)?;
    if let (Some(clipping), Some(values)) = (&clipping, clip) {
        clipping.clip.write(bench.gpu, &values)?;
    }
    // The weight is the encoder's.
    let encoder = gradients.arena.words_before(1);
    let (parameters_of, gradients_of, clipping) = (&parameters.arena, &gradients.arena, clipping.as_ref());
    let update = Update {
        parameters: parameters_of,
        gradients: gradients_of,
        states: &states,
        clip: clipping,
        weights: &[],
        encoder,
    };
    let dispatch = adam.update_words(words, bench.at(), update)?;
    let (factor, is_left_out) =
        clip.map_or((1.0, false), |[_, factor, left_out, _]| (f64::from(factor), left_out > 0.0));
    let (mut afters, mut errors) = (Vec::new(), Vec::new());
    for (i, &gradient) in gradients.words.iter().enumerate() {
        let before = AdamState { parameter: parameters.words[i], moment1: moment1.words[i], moment2: moment2.words[i] };
        if is_left_out || i >= encoder && bench.step.optimiser[1][0] == 0.0 {
            errors.push(AdamState { parameter: 0.0, moment1: 0.0, moment2: 0.0 });
            afters.push(before);
            continue;
        }
        let gradient = factor * gradient;
        let (t, learning_rate) = if i < encoder { (bench.step.t, 1e-3f32) } else { (bench.step.t - 3, 2e-3) };
        let after = before.updated(adam, t, f64::from(learning_rate), gradient);
        errors.push(error(adam, t, before, after, gradient));
        afters.push(after);
    }
    let output = |name, state: &State, part: fn(&AdamState) -> f64| {
        let [values, errors] = [&afters, &errors].map(|all| Matrix::vector(all.iter().map(part).collect()));
        Output::matrix(name, state.arena.whole(), &values, &errors)
    };
    let outputs = [
        output("parameters", &parameters, |state| state.parameter),
        output("moment1", &moment1, |state| state.moment1),
        output("moment2", &moment2, |state| state.moment2),
    ];
    bench.check_variant(name, dispatch, outputs)
}

/// The absolute error that each part of the state may have.
fn error(adam: Adam, t: u32, before: AdamState, after: AdamState, gradient: f64) -> AdamState {
    let (complement1, complement2) = (1.0 - adam.beta1, 1.0 - adam.beta2);
    let square = gradient * gradient;
    // A difference, the complement's own rounding, a product and a sum.
    let moment1 = ULP * (3.0 * complement1 * (gradient - before.moment1).abs() + after.moment1.abs());
    let moment2 = ULP * (complement2 * (square + 3.0 * (square - before.moment2).abs()) + after.moment2);
    // The root: its moment's error, the correction's own rounding, a quotient, and the root itself.
    let root = (after.moment2 / (1.0 - adam.beta2.powf(f64::from(t)))).sqrt();
    let share = if after.moment2 > 0.0 { moment2 / after.moment2 } else { 0.0 };
    let root_error = root * (0.5 * (share + ULP + DIVISION) + SQRT);
    let denominator = root + adam.epsilon;
    let denominator_error = root_error + ULP * (adam.epsilon + denominator);
    // The change: the first moment's error, its correction's own rounding, two quotients and a product.
    let change = before.parameter - after.parameter;
    let share = if after.moment1 == 0.0 { 0.0 } else { moment1 / after.moment1.abs() };
    let change_error = change.abs() * (share + 2.0 * ULP + 2.0 * DIVISION + denominator_error / denominator);
    AdamState { parameter: change_error + ULP * after.parameter.abs(), moment1, moment2 }
}
