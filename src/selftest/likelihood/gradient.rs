//! The self-test of `shaders/likelihood/gradient.wgsl` and of the file below it: each likelihood with a backward pass
//! after it, which reads the stored gradient, and without.

use super::Given;
use crate::Error;
use crate::likelihood::Terms;
use crate::selftest::Matrix;
use crate::selftest::bench::{Bench, Operand, Output};

impl Given {
    /// Checks the log probability, with a backward pass after it and without, and the gradient with respect to the outputs.
    pub(super) fn check(
        &self,
        bench: &mut Bench<'_>,
        [x, outputs]: [&Operand; 2],
        [log_prob, log_prob_errors]: [&Matrix; 2],
        [gradients, gradient_errors]: [&Matrix; 2],
    ) -> Result<(), Error> {
        for trains in [true, false] {
            let (output, sums) = (bench.output(self.outputs(bench))?, self.sums(bench)?);
            let terms = Terms { x: &x.tensor, output: &output, log_prob: &sums, trains };
            let program = self.log_prob(bench, outputs, terms)?;
            let wanted = Output::unpadded("log_prob", &sums, log_prob, log_prob_errors);
            if trains {
                let gradient = Output::matrix("output", &output, gradients, gradient_errors);
                bench.check(program, [wanted, gradient])?;
            } else {
                bench.check_variant("evaluation", program, [wanted])?;
            }
        }
        Ok(())
    }
}
