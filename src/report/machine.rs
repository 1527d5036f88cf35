//! What a report says of the machine and of the times: the adapter, its driver, the kernels, how long an epoch took.

use serde::Serialize;

use super::{duration, shown};
use crate::run::RunConfig;
use crate::step::metrics::EpochMetrics;

/// Names and what they stand for, for a table.
#[derive(Debug, Serialize)]
pub struct Machine {
    facts: Vec<(&'static str, String)>,
    times: Vec<(&'static str, String)>,
    /// Each product of matrices, with its kernel.
    kernels: Vec<(String, String)>,
}

impl Machine {
    pub fn of(config: &RunConfig, epochs: &[EpochMetrics]) -> Machine {
        let mut facts = match &config.adapter {
            None => vec![("Adapter", "none: the model was imported".to_owned())],
            Some(adapter) => vec![
                ("Adapter", format!("{} ({})", adapter.name, adapter.kind)),
                ("API", adapter.backend.clone()),
                ("Driver", [adapter.driver.as_str(), &adapter.driver_version].join(" ").trim().to_owned()),
            ],
        };
        facts.extend([("Kernels", config.kernels.to_string()), ("Elbo", config.version.clone())]);
        let seconds: f64 = epochs.iter().map(|epoch| epoch.seconds).sum();
        let mut times = Vec::new();
        if !epochs.is_empty() {
            let speed = epochs.iter().map(|epoch| epoch.examples_per_second * epoch.seconds).sum::<f64>() / seconds;
            times.push(("Training, without evaluation and files", duration(seconds)));
            times.push(("An epoch, on average", duration(seconds / epochs.len() as f64)));
            times.push(("Training examples per second", format!("{speed:.0}")));
            if let Some(norm) = epochs.iter().rev().find_map(|epoch| epoch.gradient_norm) {
                times.push(("Norm of the gradients, last epoch", shown(norm)));
            }
        }
        let kernels =
            config.kernels.iter().map(|(question, kernel)| (question.to_owned(), kernel.to_owned())).collect();
        Machine { facts, times, kernels }
    }
}
