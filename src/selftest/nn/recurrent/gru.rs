//! The self-test of `shaders/nn/recurrent/gru.wgsl` and of the file below it.

use super::{Backward, Here};
use crate::Error;
use crate::nn::gru;
use crate::selftest::bench::{Bench, Output};
use crate::selftest::nn::activation::{TANH, sigmoid, sigmoid_error};
use crate::selftest::tolerance::ULP;
use crate::selftest::{Checks, Matrix};

pub(in crate::selftest::nn) const CHECKS: Checks =
    &[("nn/recurrent/gru.wgsl", check_advance), ("nn/recurrent/gru/backward.wgsl", check_go_back)];

/// The gates of a unit, r, u and n, and its state after a position, from its products of the input and of the state.
pub fn advance(a: [f64; 3], c: [f64; 3], state: f64) -> ([f64; 3], f64) {
    let (r, u) = (sigmoid(a[0] + c[0]), sigmoid(a[1] + c[1]));
    let n = (a[2] + r * c[2]).tanh();
    ([r, u, n], (1.0 - u) * n + u * state)
}

/// The gradients with respect to the products of the input and of the state, and to the state before, without what comes through the
/// product; `d` is that with respect to the state after.
pub fn go_back([r, u, n]: [f64; 3], c_new: f64, state: f64, d: f64) -> ([f64; 3], [f64; 3], f64) {
    let du = d * (state - n) * u * (1.0 - u);
    let dn = d * (1.0 - u) * (1.0 - n * n);
    let dr = dn * c_new * r * (1.0 - r);
    ([dr, du, dn], [dr, du, r * dn], u * d)
}

fn check_advance(bench: &mut Bench<'_>) -> Result<(), Error> {
    for (p, starts_at_zero) in [(1, true), (0, true), (0, false)] {
        let here = Here::new(bench, p)?;
        let tensors = here.tensors(bench, 3, 3.0)?;
        let units = here.units;
        let dispatch = gru::advance(bench.at(), &here.position, &tensors.values(bench)?, starts_at_zero)?;
        let a = |draw, unit| [0, 1, 2].map(|gate| tensors.gates.values.at(here.at(draw), gate * units + unit));
        let c = |draw, unit| [0, 1, 2].map(|gate| tensors.product.values.at(draw, gate * units + unit));
        let before = |draw, unit| if starts_at_zero && p == 0 { 0.0 } else { tensors.state.values.at(draw, unit) };
        let of = |draw, unit| advance(a(draw, unit), c(draw, unit), before(draw, unit));
        // To first order: what each gate's argument is off by, and the gate.
        let errors = |draw, unit| {
            let (a, c, ([r, u, n], _)) = (a(draw, unit), c(draw, unit), of(draw, unit));
            let of_sigmoid =
                |gate: usize| sigmoid_error(a[gate] + c[gate]) + 0.25 * ULP * (a[gate].abs() + c[gate].abs());
            let (e_r, e_u) = (of_sigmoid(0), of_sigmoid(1));
            let e_n = TANH + ULP * (a[2].abs() + 2.0 * (r * c[2]).abs() + 1.0) + c[2].abs() * e_r;
            let size = n.abs() + before(draw, unit).abs();
            ([e_r, e_u, e_n], e_u * size + e_n * (1.0 - u) + 4.0 * ULP * size)
        };
        let none = |values: &Matrix| values.map(|_| 0.0);
        let changed = |values: &Matrix, of: &dyn Fn(usize, usize) -> f64, error: &dyn Fn(usize, usize) -> f64| {
            (here.replaced(values, of), here.replaced(&none(values), error))
        };
        let (gates, gate_errors) =
            changed(&tensors.gates.values, &|draw, c| of(draw, c % units).0[c / units], &|draw, c| {
                errors(draw, c % units).0[c / units]
            });
        let after = |draw, unit| of(draw, unit).1;
        let error = |draw, unit| errors(draw, unit).1;
        let (output, output_errors) = changed(&tensors.output.values, &after, &error);
        let previous = here.replaced(&tensors.previous.values, before);
        let kept = |draw, column: usize| match column / units {
            2 => c(draw, column % units)[2],
            _ => tensors.memory.values.at(here.at(draw), column),
        };
        let memory = here.replaced(&tensors.memory.values, kept);
        let state = tensors.state.values.clone();
        let (state, state_errors) =
            (Matrix::from_fn(state.rows(), units, after), Matrix::from_fn(state.rows(), units, error));
        bench.check_variant(
            &format!("position {p}, from 0: {starts_at_zero}"),
            dispatch,
            [
                Output::matrix("gates", &tensors.gates.tensor, &gates, &gate_errors),
                Output::matrix("output", &tensors.output.tensor, &output, &output_errors),
                Output::matrix("previous", &tensors.previous.tensor, &previous, &none(&previous)),
                Output::matrix("hidden", &tensors.memory.tensor, &memory, &none(&memory)),
                Output::matrix("state", &tensors.state.tensor, &state, &state_errors),
            ],
        )?;
    }
    Ok(())
}

fn check_go_back(bench: &mut Bench<'_>) -> Result<(), Error> {
    for p in [1, 2] {
        let here = Here::new(bench, p)?;
        let tensors = here.tensors(bench, 3, 1.0)?;
        let backward = Backward::new(bench, &here, 3)?;
        let units = here.units;
        let dispatch = gru::go_back(bench.at(), &here.position, &tensors.values(bench)?, &backward.gradients)?;
        let gates = |draw, unit| [0, 1, 2].map(|gate| tensors.gates.values.at(here.at(draw), gate * units + unit));
        let c_new = |draw, unit| tensors.memory.values.at(here.at(draw), 2 * units + unit);
        let state = |draw, unit| tensors.previous.values.at(here.at(draw), unit);
        let d = |draw, unit| backward.d(&here, draw, unit);
        let of = |draw, unit| go_back(gates(draw, unit), c_new(draw, unit), state(draw, unit), d(draw, unit));
        // Values are at most 1, and each result is a product of at most seven factors, some of them differences.
        let error = 40.0 * ULP;
        let changed = |values: &Matrix, of: &dyn Fn(usize, usize) -> f64| {
            (here.replaced(values, of), here.replaced(&values.map(|_| 0.0), |_, _| error))
        };
        let (da, da_errors) = changed(&tensors.gates.values, &|draw, c| of(draw, c % units).0[c / units]);
        let (dc, dc_errors) = changed(&tensors.memory.values, &|draw, c| of(draw, c % units).1[c / units]);
        let now = |columns: usize, value: &dyn Fn(usize, usize) -> f64| Matrix::from_fn(here.rows, columns, value);
        let dproduct = now(3 * units, &|draw, c| of(draw, c % units).1[c / units]);
        let dstate = now(units, &|draw, unit| of(draw, unit).2);
        let alike = |values: &Matrix| values.map(|_| error);
        bench.check_variant(
            &format!("position {p}"),
            dispatch,
            [
                Output::matrix("gates", &tensors.gates.tensor, &da, &da_errors),
                Output::matrix("hidden", &tensors.memory.tensor, &dc, &dc_errors),
                Output::matrix("dproduct", &backward.gradients.dproduct, &dproduct, &alike(&dproduct)),
                Output::matrix("dstate", &backward.dstate.tensor, &dstate, &alike(&dstate)),
            ],
        )?;
    }
    Ok(())
}
