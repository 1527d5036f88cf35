//! The beta-binomial likelihood over the 256 levels of a byte. The twin of `shaders/likelihood/beta_binomial.wgsl` and of the
//! file below it.

use super::{BYTE_LEVELS, Density, Levels, Support, Terms};
use crate::Error;
use crate::gpu::{Dispatch, Gpu, Part, Source, Tensor, source};
use crate::graph::{Arithmetic, Function, Graph, Operation, Value};
use crate::nn::{Epilogue, Recording};

const LOG_PROB: Source = source!("likelihood/beta_binomial.wgsl");
const PIXELS: Source = source!("likelihood/beta_binomial/pixels.wgsl");

/// The highest level.
const HIGHEST: usize = BYTE_LEVELS - 1;

/// As in `shaders/lib/levels.wgsl`: both log alpha and log beta are between it and its negative.
const LOG_COUNT_MAX: f32 = 7.0;

/// A binomial distribution of `k = 255 x` whose probability has a beta distribution. The decoder outputs log alpha and log
/// beta for each dimension, clamped to -7 .. 7.
///
/// # Source
///
/// Townsend et al. 2019, "Practical lossless compression with latent variables using bits back coding", section 3.2.
#[derive(Debug)]
pub struct BetaBinomial;

/// Makes the table `log choose(255, k)`, `(256)`.
fn log_choose(gpu: &Gpu) -> Result<Tensor, Error> {
    // The sum of log i up to each k, from 0 on.
    let mut log_factorials = vec![0.0];
    for i in 1..=HIGHEST {
        log_factorials.push(log_factorials[i - 1] + (i as f64).ln());
    }
    let log_choose = |k: usize| (log_factorials[HIGHEST] - log_factorials[k] - log_factorials[HIGHEST - k]) as f32;
    Tensor::from_values(gpu, 1, BYTE_LEVELS, &(0..BYTE_LEVELS).map(log_choose).collect::<Vec<_>>())
}

impl Density for BetaBinomial {
    fn outputs_per_dimension(&self) -> usize {
        2
    }

    fn support(&self) -> Support {
        Support::Levels(BYTE_LEVELS)
    }

    fn is_discrete(&self) -> bool {
        true
    }

    fn levels(&self) -> Option<Box<dyn Levels>> {
        Some(Box::new(BetaBinomial))
    }

    fn stores_output(&self) -> bool {
        true
    }

    /// Each quad of outputs has a partial sum.
    fn partial_sums(&self, _: &Gpu, dimensions: usize) -> Result<usize, Error> {
        Ok((dimensions * self.outputs_per_dimension()).div_ceil(4))
    }

    /// `log_prob[b] = sum_d log(choose(255, k) * B(k + alpha, 255 - k + beta) / B(alpha, beta))`, for the beta function `B`.
    fn log_prob(&self, recording: Recording<'_>, terms: Terms<'_>) -> Result<(Epilogue, Option<Dispatch>), Error> {
        let Terms { x, output, log_prob, .. } = terms;
        let part = Part::new(LOG_PROB)
            .size("D", x.columns())
            .bind("x", x)
            .bind("log_choose", &log_choose(recording.at.gpu)?)
            .bind("output", output)
            .bind("log_prob", log_prob);
        let after = recording.launch(part, "evaluate")?.over([output.stride() / 4, output.rows(), 1])?;
        Ok((Epilogue::store(output), Some(after)))
    }

    fn describe_mean(&self, graph: &mut Graph, outputs: Value) -> Value {
        let end = graph.node(outputs).shape[0];
        let [alpha, beta] = [0, 1].map(|start| {
            let log_count = graph.slice(outputs, start, end, 2);
            graph.alike(Operation::Clamp(-LOG_COUNT_MAX, Some(LOG_COUNT_MAX)), log_count)
        });
        let odds = graph.combine(Arithmetic::Subtract, alpha, beta);
        graph.apply(Function::Sigmoid, odds)
    }

    fn log_prob_in_pytorch(&self) -> String {
        format!(
            "# In double precision: the terms are much larger than their sum.\n\
             a, b = (outputs[:, i::2].double().clamp(-{LOG_COUNT_MAX:?}, {LOG_COUNT_MAX:?}).exp() for i in (0, 1))\n\
             n, k = torch.tensor(255.0).double(), (255.0 * x.double()).round()\n\
             choose = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)\n\
             log_beta = lambda a, b: torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)\n\
             return (choose + log_beta(k + a, n - k + b) - log_beta(a, b)).sum(dim=1).to(x.dtype)"
        )
    }

    /// The mean `alpha / (alpha + beta)`, or a draw, by Polya's urn.
    fn pixel(&self, _: Recording<'_>) -> Result<Part, Error> {
        Ok(Part::new(PIXELS))
    }
}
