//! The report of one run.

use serde::Serialize;

use super::chart::{Chart, Curve};
use super::examples::{Shown, Subject};
use super::latents::{Latents, Plane};
use super::machine::Machine;
use super::warnings::{Warning, of_model, of_training};
use super::{RUN, duration, render, shown};
use crate::Error;
use crate::config::Setting;
use crate::data::DataRef;
use crate::eval::Report;
use crate::image::Grid;
use crate::run::RunConfig;
use crate::step::metrics::{Averages, EpochMetrics};
use crate::vae::Vae;

/// What the report of a run is made of.
#[derive(Debug)]
pub struct RunReport<'a> {
    /// The run, as its reader knows it.
    pub name: &'a str,
    /// Its configuration.
    pub config: &'a RunConfig,
    /// Its epochs.
    pub epochs: &'a [EpochMetrics],
    /// What else a reader has to know first.
    pub warnings: Vec<Warning>,
    /// The file of the model.
    pub model: &'a str,
    /// The epoch after which it was written, if that is known.
    pub model_epoch: Option<u32>,
    /// The model.
    pub vae: &'a Vae,
    /// The data that the model is shown on.
    pub data: DataRef<'a>,
    /// The labels of the test set, if there are any.
    pub labels: Option<&'a [u8]>,
    /// The evaluation on the test set, with the estimate of each example.
    pub evaluation: &'a Report,
}

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    name: &'a str,
    model: &'a str,
    model_epoch: Option<u32>,
    /// What it was trained on, and what it is shown on.
    data: &'a str,
    shape: String,
    sizes: Vec<(&'static str, usize)>,
    warnings: Vec<Warning>,
    figures: Vec<Figure>,
    estimate_of: usize,
    charts: Vec<Chart>,
    shown: Option<Shown>,
    /// None of a model of text without latents.
    latents: Option<Latents>,
    plane: Option<Plane>,
    given: Vec<Setting>,
    usual: Vec<Group>,
    machine: Machine,
    command: String,
}

/// A number of the evaluation.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    value: String,
    note: String,
}

/// The settings under one heading.
#[derive(Serialize)]
struct Group {
    heading: String,
    settings: Vec<Setting>,
}

impl RunReport<'_> {
    /// Decodes what the page shows of the model, and fills it in.
    ///
    /// # Errors
    ///
    /// As [`Vae::encode`], [`Vae::sample`], [`Vae::decode`] and [`Vae::write_sentences`].
    pub fn page(&self) -> Result<String, Error> {
        let RunReport { config, epochs, evaluation, vae, data, labels, .. } = *self;
        let test = data.test();
        let posteriors = vae.encode(test, config.config.training.seed)?;
        let latents = Latents::of(evaluation);
        let subject = Subject { vae, test, labels, posteriors: &posteriors, report: evaluation };
        let has_latents = !config.config.model.text.without_latents;
        let drawn = vae.model().image().map_or(Ok(()), Grid::draws);
        let unseen = drawn.as_ref().err().map(|error| Warning::new("There are no pictures", error.to_string()));
        let warnings = self
            .warnings
            .iter()
            .cloned()
            .chain(of_training(config, epochs))
            .chain(of_model(config, evaluation))
            .chain(unseen);
        let sizes = [("training", Some(data.train())), ("validation", data.validation()), ("test", Some(test))];
        let (usual, given) = config.settings().into_iter().partition(|setting| setting.is_default);
        let page = Page {
            name: self.name,
            model: self.model,
            model_epoch: self.model_epoch,
            data: &config.config.data.source,
            shape: vae.model().data.to_string(),
            sizes: sizes.into_iter().filter_map(|(name, part)| Some((name, part?.count()))).collect(),
            warnings: warnings.collect(),
            figures: figures(vae, evaluation, epochs),
            estimate_of: evaluation.samples,
            charts: charts(epochs),
            shown: drawn.is_ok().then(|| subject.shown(&latents)).transpose()?,
            plane: if has_latents { Plane::of(evaluation, &posteriors, labels) } else { None },
            latents: has_latents.then_some(latents),
            given,
            usual: groups(usual),
            machine: Machine::of(config, epochs),
            command: config.command(),
        };
        Ok(render(RUN, page))
    }
}

/// The numbers that stand first.
fn figures(vae: &Vae, report: &Report, epochs: &[EpochMetrics]) -> Vec<Figure> {
    let figure = |name, value: String, note: &str| Figure { name, value, note: note.to_owned() };
    let mut figures = vec![
        figure("ELBO", shown(report.elbo), "nats per example; larger is better"),
        figure("NLL", shown(report.nll), "the negative log likelihood"),
        figure("KL", shown(report.kl), "from the posterior to the prior"),
    ];
    if let Some(log_prob) = report.log_prob {
        let error = log_prob.standard_error.map(|error| format!("standard error {error:.2}, ")).unwrap_or_default();
        let note = format!("{error}{} importance samples", log_prob.importance_samples);
        figures.push(figure("log p(x)", shown(log_prob.mean), &note));
    }
    if let Some(bits) = report.bits_per_dim {
        figures.push(figure("Bits per dimension", format!("{bits:.4}"), "from log p(x)"));
    }
    if let Some(text) = report.text {
        let note = format!("{} tokens, {} of them unknown", text.tokens, text.unknown);
        figures.push(figure("Perplexity", shown(text.perplexity), &note));
        figures.push(figure("Mutual information", shown(text.mutual_information), "of sentences and latents, nats"));
    }
    let active = format!("{} of {}", report.active_units, report.latents);
    figures.push(figure("Active latents", active, "their means vary over the data"));
    figures.push(figure("Parameters", vae.parameter_count().to_string(), "of encoder, decoder and prior"));
    let seconds = epochs.iter().map(|epoch| epoch.seconds).sum();
    figures.push(figure("Epochs", epochs.len().to_string(), &format!("{} of training", duration(seconds))));
    figures
}

/// A curve of each value that says something.
fn charts(epochs: &[EpochMetrics]) -> Vec<Chart> {
    let Some(last) = epochs.last() else { return Vec::new() };
    let curve = |name: &str, value: &dyn Fn(&EpochMetrics) -> Option<f64>| Curve {
        name: name.to_owned(),
        points: epochs.iter().filter_map(|epoch| Some((epoch.epoch, value(epoch)?))).collect(),
    };
    let both = |id, title, value: fn(&Averages) -> f64| {
        let train = curve("train", &|epoch| Some(value(&epoch.train)));
        let held_out = curve(last.held_out().0, &|epoch| Some(value(&epoch.held_out().1)));
        Chart::of(id, title, "nats per example", &[train, held_out])
    };
    let one = |id, title, unit, value: &dyn Fn(&EpochMetrics) -> Option<f64>| {
        Chart::of(id, title, unit, &[curve(title, value)])
    };
    // A constant is in the settings already.
    let changes = |value: fn(&EpochMetrics) -> f64| epochs.iter().any(|epoch| value(epoch) != value(&epochs[0]));
    let has_loss = epochs.iter().any(|epoch| (epoch.train.loss + epoch.train.elbo).abs() > 0.005);
    let mut charts = vec![
        both("elbo", "ELBO (larger is better)", |averages| averages.elbo),
        both("nll", "NLL, the negative log likelihood", |averages| averages.nll),
        both("kl", "KL, from the posterior to the prior", |averages| averages.kl),
        one("active", "Active latents", "latents", &|epoch| epoch.active_units.map(|units| units as f64)),
    ];
    if has_loss {
        charts.push(both("loss", "Loss, what training minimises", |averages| averages.loss));
    }
    if changes(|epoch| epoch.kl_weight) {
        charts.push(one("kl-weight", "Weight of the KL", "factor", &|epoch| Some(epoch.kl_weight)));
    }
    if changes(|epoch| epoch.learning_rate) {
        charts.push(one("learning-rate", "Learning rate", "rate", &|epoch| Some(epoch.learning_rate)));
    }
    charts.push(one("norm", "Norm of the gradients", "norm", &|epoch| epoch.gradient_norm));
    charts.into_iter().flatten().collect()
}

/// The settings by their headings, in the order of the help.
fn groups(settings: Vec<Setting>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for setting in settings {
        match groups.iter_mut().find(|group| group.heading == setting.heading) {
            Some(group) => group.settings.push(setting),
            None => groups.push(Group { heading: setting.heading.clone(), settings: vec![setting] }),
        }
    }
    groups
}
