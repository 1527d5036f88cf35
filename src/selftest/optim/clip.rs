//! The self-test of `shaders/optim/clip.wgsl`; the files below it are tested with Adam.

use super::State;
use crate::Error;
use crate::gpu::{Dispatch, Tensor};
use crate::optim::{Clip, ClipConfig, OnNan};
use crate::selftest::bench::{Bench, Output, UNTOUCHED, poisoned};
use crate::selftest::tolerance::{DIVISION, SQRT, ULP};
use crate::selftest::{Checks, Matrix};

pub(super) const CHECKS: Checks = &[("optim/clip.wgsl:square", check_square), ("optim/clip.wgsl:limit", check_limit)];

/// Rows of the metrics.
const ROWS: usize = 3;

/// Workgroups, and the threads of each: both of the kernel.
const GROUPS: usize = 64;
const SIZE: usize = 256;

/// The scale of a sum without terms.
const SMALLEST: f64 = 1e-30;

/// Of a sum of squares, relative: a thread sums four squares of quotients, and two sums are joined 8 times in a workgroup, each
/// with two quotients, three products and a sum.
const SQUARE: f64 = 9.0 * (2.0 * DIVISION + 4.0 * ULP);

struct Case {
    clip: Clip,
    metrics: Tensor,
    dispatches: Vec<Dispatch>,
}

impl Case {
    fn new(bench: &Bench<'_>, gradients: &State, clip_norm: f64) -> Result<Case, Error> {
        let config = ClipConfig { clip_norm: Some(clip_norm), on_nan: OnNan::Skip };
        let clip = Clip::new(bench.gpu, &gradients.arena, config)?.expect("norms are needed");
        let metrics = poisoned(bench.gpu, Tensor::zeros(bench.gpu, ROWS, 4)?)?;
        let dispatches = clip.record(bench.at(), &gradients.arena, &metrics)?;
        Ok(Case { clip, metrics, dispatches })
    }
}

/// The partial sum of each workgroup, whose squares would overflow.
fn check_square(bench: &mut Bench<'_>) -> Result<(), Error> {
    let gradients = State::draw(bench, |draw| 1e25 * draw)?;
    let case = Case::new(bench, &gradients, 1.0)?;
    let mut sums = vec![[SMALLEST, 0.0]; GROUPS];
    for (index, quad) in gradients.words.chunks(4).enumerate() {
        let [scale, sum] = &mut sums[index / SIZE % GROUPS];
        let most = quad.iter().fold(*scale, |most, value| most.max(value.abs()));
        *sum = *sum * (*scale / most).powi(2) + quad.iter().map(|value| (value / most).powi(2)).sum::<f64>();
        *scale = most;
    }
    let values = Matrix::from_fn(GROUPS, 4, |group, part| sums[group].get(part).copied().unwrap_or(0.0));
    let errors = Matrix::from_fn(GROUPS, 4, |group, part| if part == 1 { SQUARE * sums[group][1] } else { 0.0 });
    let output = Output::matrix("partials", case.clip.partials(), &values, &errors);
    bench.check(case.dispatches[0].clone(), [output])
}

/// Norms below and above the largest one, of values whose squares overflow, and of NaN.
fn check_limit(bench: &mut Bench<'_>) -> Result<(), Error> {
    for (name, scale, clip_norm) in [("small", 0.1, 1e3), ("large", 10.0, 1e-3), ("huge", 1e25, 1e24)] {
        let gradients = State::draw(bench, |draw| scale * draw)?;
        let norm = gradients.words.iter().map(|g| g * g).sum::<f64>().sqrt();
        let factor = if norm > clip_norm { clip_norm / norm } else { 1.0 };
        let share = SQUARE + SQRT + ULP;
        let factor_error = if norm > clip_norm { factor * (share + DIVISION + ULP) } else { 0.0 };
        check(bench, name, &gradients, clip_norm, [(norm, share * norm), (factor, factor_error), (0.0, 0.0)])?;
    }
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let gradients = State::draw(bench, |draw| draw)?;
        let (_, tensor) = gradients.arena.tensors().next().expect("a parameter");
        let mut values: Vec<f32> = tensor.read(bench.gpu)?;
        values[0] = bad;
        tensor.write(bench.gpu, &values)?;
        let case = Case::new(bench, &gradients, 1.0)?;
        bench.check_variant(
            "not finite",
            case.dispatches,
            [Output::exactly("clip", &case.clip.clip, &[f32::INFINITY, 1.0, 1.0, 0.0])],
        )?;
    }
    Ok(())
}

fn check(
    bench: &mut Bench<'_>,
    name: &str,
    gradients: &State,
    clip_norm: f64,
    wants: [(f64, f64); 3],
) -> Result<(), Error> {
    let case = Case::new(bench, gradients, clip_norm)?;
    let row = bench.step.row as usize;
    let [values, errors] = [|want: (f64, f64)| want.0, |want: (f64, f64)| want.1]
        .map(|part| Matrix::vector([wants.map(part).as_slice(), &[0.0]].concat()));
    let rows = |norm: f64, others: f64| Matrix::from_fn(ROWS, 4, |r, c| if (r, c) == (row, 3) { norm } else { others });
    let outputs = [
        Output::matrix("clip", &case.clip.clip, &values, &errors),
        Output::matrix("metrics", &case.metrics, &rows(wants[0].0, f64::from(UNTOUCHED)), &rows(wants[0].1, 0.0)),
    ];
    bench.check_variant(name, case.dispatches, outputs)
}
