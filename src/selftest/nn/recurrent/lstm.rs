//! The self-test of `shaders/nn/recurrent/lstm.wgsl` and of the file below it.

use super::{Backward, Here};
use crate::Error;
use crate::nn::lstm;
use crate::selftest::bench::{Bench, Output};
use crate::selftest::nn::activation::{TANH, sigmoid, sigmoid_error};
use crate::selftest::tolerance::ULP;
use crate::selftest::{Checks, Matrix};

pub(in crate::selftest::nn) const CHECKS: Checks =
    &[("nn/recurrent/lstm.wgsl", check_advance), ("nn/recurrent/lstm/backward.wgsl", check_go_back)];

/// The gates of a unit, i, f, g and o, its cell and its state after a position, from the sums of its products.
pub fn advance(sums: [f64; 4], cell: f64) -> ([f64; 4], f64, f64) {
    let [i, f, o] = [sums[0], sums[1], sums[3]].map(sigmoid);
    let g = sums[2].tanh();
    let after = f * cell + i * g;
    ([i, f, g, o], after, o * after.tanh())
}

/// The gradients with respect to the sums, and to the cell before; `d` is that with respect to the state after, and `e` that with respect
/// to the cell after, apart from what comes through the state.
pub fn go_back([i, f, g, o]: [f64; 4], [before, after]: [f64; 2], d: f64, e: f64) -> ([f64; 4], f64) {
    let squashed = after.tanh();
    let e = e + d * o * (1.0 - squashed * squashed);
    let sums = [e * g * i * (1.0 - i), e * before * f * (1.0 - f), e * i * (1.0 - g * g), d * squashed * o * (1.0 - o)];
    (sums, f * e)
}

fn check_advance(bench: &mut Bench<'_>) -> Result<(), Error> {
    for (p, starts_at_zero) in [(1, true), (0, true), (0, false)] {
        let here = Here::new(bench, p)?;
        let tensors = here.tensors(bench, 4, 3.0)?;
        let units = here.units;
        let dispatch = lstm::advance(bench.at(), &here.position, &tensors.values(bench)?, starts_at_zero)?;
        let parts = |draw, unit| {
            [0, 1, 2, 3].map(|gate| {
                let column = gate * units + unit;
                [tensors.gates.values.at(here.at(draw), column), tensors.product.values.at(draw, column)]
            })
        };
        let zero = starts_at_zero && p == 0;
        let before = |draw, unit| if zero { 0.0 } else { tensors.memory.values.at(here.at(draw), unit) };
        let of = |draw, unit| advance(parts(draw, unit).map(|[a, c]| a + c), before(draw, unit));
        let errors = |draw, unit| {
            let parts = parts(draw, unit);
            let sum = |gate: usize| ULP * (parts[gate][0].abs() + parts[gate][1].abs());
            let of_sigmoid = |gate: usize| sigmoid_error(parts[gate][0] + parts[gate][1]) + 0.25 * sum(gate);
            let (gates, after, _) = of(draw, unit);
            let [e_i, e_f, e_o] = [0, 1, 3].map(of_sigmoid);
            let e_g = TANH + sum(2) + ULP;
            let size = before(draw, unit).abs();
            let e_cell = e_f * size + e_i + e_g + 3.0 * ULP * (size + 1.0);
            ([e_i, e_f, e_g, e_o], e_cell, e_o * after.tanh().abs() + gates[3] * (TANH + e_cell) + 2.0 * ULP)
        };
        let none = |values: &Matrix| values.map(|_| 0.0);
        let changed = |values: &Matrix, of: &dyn Fn(usize, usize) -> f64, error: &dyn Fn(usize, usize) -> f64| {
            (here.replaced(values, of), here.replaced(&none(values), error))
        };
        let (gates, gate_errors) =
            changed(&tensors.gates.values, &|draw, c| of(draw, c % units).0[c / units], &|draw, c| {
                errors(draw, c % units).0[c / units]
            });
        let (after, error) = (|draw, unit| of(draw, unit).2, |draw, unit| errors(draw, unit).2);
        let (output, output_errors) = changed(&tensors.output.values, &after, &error);
        let state_before = |draw, unit| if zero { 0.0 } else { tensors.state.values.at(draw, unit) };
        let previous = here.replaced(&tensors.previous.values, state_before);
        // The cells before the position are in its own rows, those after it in the next ones.
        let cells = here.replaced(&tensors.memory.values, before);
        let cells = here.replaced_at(p + 1, &cells, |draw, unit| of(draw, unit).1);
        let cell_errors = here.replaced_at(p + 1, &none(&cells), |draw, unit| errors(draw, unit).1);
        let now = |value: &dyn Fn(usize, usize) -> f64| Matrix::from_fn(here.rows, units, value);
        bench.check_variant(
            &format!("position {p}, from 0: {starts_at_zero}"),
            dispatch,
            [
                Output::matrix("gates", &tensors.gates.tensor, &gates, &gate_errors),
                Output::matrix("output", &tensors.output.tensor, &output, &output_errors),
                Output::matrix("previous", &tensors.previous.tensor, &previous, &none(&previous)),
                Output::matrix("cells", &tensors.memory.tensor, &cells, &cell_errors),
                Output::matrix("state", &tensors.state.tensor, &now(&after), &now(&error)),
            ],
        )?;
    }
    Ok(())
}

fn check_go_back(bench: &mut Bench<'_>) -> Result<(), Error> {
    for p in [1, 2] {
        let here = Here::new(bench, p)?;
        let tensors = here.tensors(bench, 4, 1.0)?;
        let backward = Backward::new(bench, &here, 4)?;
        let units = here.units;
        let dispatch = lstm::go_back(bench.at(), &here.position, &tensors.values(bench)?, &backward.gradients)?;
        let gates = |draw, unit| [0, 1, 2, 3].map(|gate| tensors.gates.values.at(here.at(draw), gate * units + unit));
        let cells = |draw, unit| [0, 1].map(|after| tensors.memory.values.at(here.at(draw) + after * here.rows, unit));
        let of = |draw, unit| {
            let (d, e) = (backward.d(&here, draw, unit), backward.e(&here, draw, unit));
            go_back(gates(draw, unit), cells(draw, unit), d, e)
        };
        // Values are at most 1, and each result is a sum of two products of at most nine factors, some of them differences.
        let error = 100.0 * ULP + 6.0 * TANH;
        let da = here.replaced(&tensors.gates.values, |draw, c| of(draw, c % units).0[c / units]);
        let da_errors = here.replaced(&tensors.gates.values.map(|_| 0.0), |_, _| error);
        let now = |columns: usize, value: &dyn Fn(usize, usize) -> f64| Matrix::from_fn(here.rows, columns, value);
        let dproduct = now(4 * units, &|draw, c| of(draw, c % units).0[c / units]);
        let dcell = now(units, &|draw, unit| of(draw, unit).1);
        let alike = |values: &Matrix| values.map(|_| error);
        bench.check_variant(
            &format!("position {p}"),
            dispatch,
            [
                Output::matrix("gates", &tensors.gates.tensor, &da, &da_errors),
                Output::matrix("dproduct", &backward.gradients.dproduct, &dproduct, &alike(&dproduct)),
                Output::matrix("dcell", &backward.dcell.tensor, &dcell, &alike(&dcell)),
            ],
        )?;
    }
    Ok(())
}
