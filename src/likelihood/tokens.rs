//! The categorical likelihood over a vocabulary. The twin of `shaders/likelihood/tokens.wgsl` and of the file below it.

use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::step::At;

const EVALUATE: Source = source!("likelihood/tokens.wgsl");
const SUM: Source = source!("likelihood/tokens/sum.wgsl");

/// Records the log probability of each token, and overwrites the logits with the gradient of the mean of `-log_prob` over all draws if
/// `trains` is set.
///
/// `log_probs[row] = logits[row, k] - log sum_v exp(logits[row, v])` in nats, `k` the row's token; 0 where there is none
///
/// # Shapes
///
/// - `tokens`: `(T * B)`
/// - `output`: `(T * B * samples, V)`, the logits
/// - `log_probs`: `(T * B * samples)`
///
/// # Errors
///
/// [`Error::Argument`] if the lengths differ.
pub fn evaluate(
    at: At<'_>,
    tokens: &Tensor,
    output: &Tensor,
    log_probs: &Tensor,
    trains: bool,
) -> Result<Dispatch, Error> {
    let rows = at.samples * tokens.columns();
    let shapes = [[output.rows(), 1], [log_probs.columns(), 1]];
    require_shapes("log probabilities of tokens", [[rows, 1], [rows, 1]], shapes)?;
    let part = Part::new(EVALUATE)
        .size("VOCABULARY", output.columns())
        .flag("TRAINS", trains)
        .bind("tokens", tokens)
        .bind("output", output)
        .bind("log_probs", log_probs);
    let launch = at.launch(part, "evaluate")?;
    let along = launch.constant("ROW_OF_GROUPS")?;
    launch.over_groups([rows.min(along), rows.div_ceil(along), 1])
}

/// Records the log probability of each draw of a sentence, `log_prob[draw] = sum_p log_probs[(p, draw)]`, in nats.
///
/// # Shapes
///
/// - `log_probs`: `(T * B * samples)`
/// - `log_prob`: `(B * samples, 1)`
///
/// # Errors
///
/// [`Error::Argument`] if the second is not a column.
pub fn sum(at: At<'_>, log_probs: &Tensor, log_prob: &Tensor) -> Result<Dispatch, Error> {
    require_shapes("log probabilities of sentences", [[log_prob.rows(), 1]], [log_prob.shape()])?;
    let part = Part::new(SUM).bind("log_probs", log_probs).bind("log_prob", log_prob);
    at.launch(part, "sum")?.over([log_prob.rows(), 1, 1])
}
