//! NaN in, NaN out: a broken model's NaN reaches the loss and the pixels, whatever the driver does with comparisons, `min` and
//! `max`, `exp` and `tanh`, and reaches nothing else.

use super::bench::{Bench, Operand, Output};
use crate::Error;
use crate::gpu::{Dispatch, Program, Tensor};

/// A NaN that is put into an input, and the output that it must reach.
pub struct Nan<'a> {
    pub input: &'a Operand,
    /// The column of the NaN, which is in the last row.
    pub column: usize,
    /// The output's name.
    pub name: &'static str,
    pub output: &'a Tensor,
    /// Whether a column of the output's last row must be NaN.
    pub reaches: &'a dyn Fn(usize) -> bool,
}

impl Nan<'_> {
    /// Runs dispatches without the NaN and with it: values that do not depend on it must have the same bits.
    pub fn check(&self, bench: &mut Bench<'_>, variant: &str, dispatches: Vec<Dispatch>) -> Result<(), Error> {
        let Nan { input, column, name, output, reaches } = self;
        let last = input.values.rows() - 1;
        let program = Program::from(dispatches);
        bench.gpu.run(&program, 1);
        let mut wants: Vec<f32> = output.read_padded(bench.gpu)?;
        for want in (0..output.columns()).filter(|column| reaches(*column)) {
            wants[last * output.stride() + want] = f32::NAN;
        }
        let mut words: Vec<f32> = input.tensor.read_padded(bench.gpu)?;
        words[last * input.tensor.stride() + column] = f32::NAN;
        input.tensor.write_padded(bench.gpu, &words)?;
        bench.check_variant(&format!("NaN, {variant}"), program, [Output::exactly(name, output, &wants)])
    }
}
