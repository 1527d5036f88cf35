//! What a training shows: a progress bar, and a line for each epoch.

use std::io::IsTerminal;

use elbo::step::metrics::EpochMetrics;
use elbo::train::{EpochProgress, Trainer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A progress bar over the whole run if standard error is a terminal and anything is to be shown, else a hidden one.
pub fn bar(trainer: &Trainer, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = trainer.progress();
    let (examples, positions) = (trainer.examples() as u64, trainer.positions_per_example());
    let bar = ProgressBar::with_draw_target(Some(u64::from(trainer.epochs()) * examples), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} [{wide_bar}] {percent}% {rate}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // Nothing can be done about a terminal that accepts no text.
            let _ = write!(text, "{}", rate(state.per_sec(), positions));
        });
    bar.set_style(style);
    bar.set_position(u64::from(progress.epochs) * examples + progress.sums.examples);
    bar.reset_eta();
    bar
}

/// A speed, in tokens for sentences.
fn rate(examples: f64, positions: Option<f64>) -> String {
    match positions {
        None => format!("{examples:.0} examples/s"),
        Some(positions) => format!("{:.0} tokens/s", examples * positions),
    }
}

/// Shows where an epoch is, and the course of the loss since the epochs before.
pub fn show(bar: &ProgressBar, update: &EpochProgress, epochs: u32, history: &[EpochMetrics]) {
    if bar.is_hidden() {
        return;
    }
    let averages = update.averages;
    let before = &history[history.len().saturating_sub(BLOCKS.len() - 1)..];
    let losses: Vec<f64> = before.iter().map(|line| line.train.loss).chain([averages.loss]).collect();
    let (epoch, elbo, kl, line) = (update.epoch, averages.elbo, averages.kl, sparkline(&losses));
    bar.set_message(format!("epoch {epoch}/{epochs}, elbo {elbo:.2}, kl {kl:.2} {line}"));
    bar.set_position(u64::from(update.epoch - 1) * update.of + update.examples);
}

/// The heights of a sparkline, which has as many characters.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A line of blocks from the smallest value to the largest, filled up with blanks. A value that is NaN or infinite is a blank.
fn sparkline(values: &[f64]) -> String {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let min = finite().fold(f64::INFINITY, f64::min);
    let range = finite().fold(f64::NEG_INFINITY, f64::max) - min;
    let block = |value: &f64| match value.is_finite() {
        // Of equal values, each is 0 / 0, and so the lowest block.
        true => BLOCKS[((value - min) / range * (BLOCKS.len() - 1) as f64).round() as usize],
        false => ' ',
    };
    format!("{:<width$}", values.iter().map(block).collect::<String>(), width = BLOCKS.len())
}

/// The line of an epoch. It has the loss where that is not the negative ELBO. `positions` is that of sentences.
pub fn summary(metrics: &EpochMetrics, epochs: u32, positions: Option<f64>) -> String {
    let EpochMetrics { epoch, train, best, gradient_norm, left_out, examples_per_second, seconds, .. } = metrics;
    let (name, held_out) = metrics.held_out();
    let has_loss = [*train, held_out].iter().any(|terms| (terms.loss + terms.elbo).abs() > 0.005);
    let terms = |terms: elbo::step::metrics::Averages| {
        let loss = if has_loss { format!(", loss {:.2}", terms.loss) } else { String::new() };
        format!("elbo {:.2} (nll {:.2}, kl {:.2}{loss})", terms.elbo, terms.nll, terms.kl)
    };
    let norm = gradient_norm.map(|norm| format!(", gradient norm {norm:.3}")).unwrap_or_default();
    let left_out = if *left_out > 0 { format!(", {left_out} updates left out") } else { String::new() };
    let best = if *best { ", the best so far" } else { "" };
    format!(
        "epoch {epoch}/{epochs}: train {}, {name} {}{best}{norm}{left_out}, {}, {seconds:.1} s",
        terms(*train),
        terms(held_out),
        rate(*examples_per_second, positions),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_goes_from_the_lowest_block_to_the_highest() {
        assert_eq!(sparkline(&[180.0, 110.0, f64::NAN, 75.0, 5.0]), "█▅ ▄▁   ");
        assert_eq!(sparkline(&[7.0]), "▁       ");
        assert_eq!(sparkline(&[f64::NAN]), "        ");
        assert_eq!(sparkline(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), "▁▂▃▄▅▆▇█");
    }
}
