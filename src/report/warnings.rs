//! What a reader of a report has to know first: what is wrong, or not as it looks.

use serde::Serialize;

use super::shown;
use crate::eval::Report;
use crate::run::RunConfig;
use crate::step::metrics::EpochMetrics;

/// A line for the reader.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Warning {
    /// In a few words.
    pub title: String,
    /// What it means, and what helps.
    pub text: String,
}

impl Warning {
    /// Makes a line.
    pub fn new(title: impl Into<String>, text: impl Into<String>) -> Warning {
        Warning { title: title.into(), text: text.into() }
    }
}

/// The warnings of a training, from its metrics alone.
pub fn of_training(config: &RunConfig, epochs: &[EpochMetrics]) -> Vec<Warning> {
    [unfinished(config, epochs), falling(epochs), left_out(epochs)].into_iter().flatten().collect()
}

/// The warnings of a model.
pub fn of_model(config: &RunConfig, report: &Report) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if report.active_units == 0 && !config.config.model.text.without_latents {
        warnings.push(Warning::new(
            "No latent is active",
            "The decoder does without the latents (posterior collapse), so the samples are all alike. --kl-warmup 10, a smaller \
             --kl-weight, --objective free-bits or, for text, --word-dropout 0.3 may help.",
        ));
    }
    if !report.is_log_likelihood {
        warnings.push(Warning::new(
            "The values are not log likelihoods",
            "The pixels are grey, but the Bernoulli likelihood describes binarised pixels. Compare these values only with values of \
             the same kind; --binarize binarises the data.",
        ));
    }
    if !config.config.model.likelihood.is_discrete() {
        warnings.push(Warning::new(
            "The likelihood is a density",
            "It is not a probability: the ELBO may be above 0, and depends on the unit of the data.",
        ));
    }
    warnings
}

/// A run that has fewer epochs than it was asked for.
fn unfinished(config: &RunConfig, epochs: &[EpochMetrics]) -> Option<Warning> {
    let training = &config.config.training;
    let (done, of) = (epochs.last().map_or(0, |last| last.epoch), training.epochs?);
    if done >= of {
        return None;
    }
    let best = epochs.iter().rev().find(|epoch| epoch.best).map_or(0, |best| best.epoch);
    if training.patience > 0 && done - best >= training.patience {
        let text = format!("There was no better epoch after epoch {best} (--patience {}).", training.patience);
        return Some(Warning::new(format!("Stopped early, after {done} of {of} epochs"), text));
    }
    let text = "elbo resume goes on from there; the figures of this page are those of now.";
    Some(Warning::new(format!("Not finished: {done} of {of} epochs"), text))
}

/// The epochs after the best one that say that the model gets worse, at least.
const WORSE_EPOCHS: usize = 3;
/// The loss of ELBO that counts as worse, as a share of the ELBO.
const WORSE: f64 = 0.002;

/// A held-out ELBO that has been falling while that of the training set rises.
fn falling(epochs: &[EpochMetrics]) -> Option<Warning> {
    let held_out = |epoch: &EpochMetrics| epoch.held_out().1.elbo;
    let best = epochs.iter().max_by(|left, right| held_out(left).total_cmp(&held_out(right)))?;
    let last = epochs.last()?;
    let is_worse = held_out(last) < held_out(best) - WORSE * held_out(best).abs();
    let after = epochs.iter().filter(|epoch| epoch.epoch > best.epoch).count();
    if !is_worse || after < WORSE_EPOCHS.max(epochs.len() / 10) || last.train.elbo <= best.train.elbo {
        return None;
    }
    let set = last.held_out().0;
    let way_out = match last.validation {
        Some(_) => "best.safetensors has the best epoch, and --patience stops soon after it",
        None => "--validation keeps the best epoch, and --patience stops soon after it",
    };
    let text = format!(
        "From epoch {} to {}, it fell from {} to {} while that of the training set rose from {} to {}: the model learns its training \
         set by heart. {way_out}; a smaller model, or more data, may help.",
        best.epoch,
        last.epoch,
        shown(held_out(best)),
        shown(held_out(last)),
        shown(best.train.elbo),
        shown(last.train.elbo)
    );
    Some(Warning::new(format!("The {set} ELBO is falling"), text))
}

/// Updates that were left out.
fn left_out(epochs: &[EpochMetrics]) -> Option<Warning> {
    let count: u32 = epochs.iter().map(|epoch| epoch.left_out).sum();
    let text = "Their gradients were NaN or infinite. A smaller --lr, or --clip-norm, may help.";
    (count > 0).then(|| Warning::new(format!("{count} updates were left out"), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::metrics::Averages;

    fn epochs(elbos: &[[f64; 2]]) -> Vec<EpochMetrics> {
        let averages = |elbo: f64| Averages { elbo, nll: -elbo, kl: 0.0, loss: -elbo };
        let of = |(epoch, elbos): (u32, &[f64; 2])| EpochMetrics {
            epoch,
            train: averages(elbos[0]),
            validation: Some(averages(elbos[1])),
            test: None,
            best: false,
            kl_weight: 1.0,
            learning_rate: 1e-3,
            gradient_norm: None,
            left_out: 2,
            active_units: None,
            examples_per_second: 1.0,
            seconds: 1.0,
        };
        (1..).zip(elbos).map(of).collect()
    }

    #[test]
    fn a_model_that_learns_by_heart_is_told_from_one_that_varies() {
        let overfits = [[-110.0, -112.0], [-105.0, -108.0], [-103.0, -109.0], [-101.0, -110.0], [-99.0, -112.0]];
        let warning = falling(&epochs(&overfits)).unwrap();
        assert_eq!(warning.title, "The validation ELBO is falling");
        assert!(warning.text.contains("epoch 2 to 5") && warning.text.contains("\u{2212}108.00 to \u{2212}112.00"));
        assert_eq!(falling(&epochs(&overfits[..4])), None, "two epochs are too few");
        let varies = [[-110.0, -112.0], [-105.0, -108.0], [-103.0, -108.1], [-101.0, -108.2], [-99.0, -108.1]];
        assert_eq!(falling(&epochs(&varies)), None);
        assert_eq!(falling(&[]), None);
        assert_eq!(left_out(&epochs(&varies)).unwrap().title, "10 updates were left out");
    }
}
