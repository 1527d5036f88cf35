//! Several runs side by side: the settings that differ, the figures of each, and their curves in one picture.

use serde::Serialize;

use super::chart::{Chart, Curve};
use super::{COMPARISON, duration, render, shown};
use crate::config::Setting;
use crate::error::one_line;
use crate::run::RunConfig;
use crate::step::metrics::{Averages, EpochMetrics};

/// Options beside those of the data on which the meaning of an ELBO depends.
const OTHER_QUANTITY: [&str; 2] = ["--likelihood", "--binarize"];

/// The headings of the options that say what the data are, and of those that change no result.
const DATA: &str = "Data";
const OUTPUT: &str = "Output";

/// A run that is compared with others.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The run, as its reader knows it.
    pub name: String,
    /// Its configuration.
    pub config: RunConfig,
    /// Its epochs.
    pub epochs: Vec<EpochMetrics>,
    /// What is wrong with its files, if anything.
    pub fault: Option<String>,
}

/// A table of runs.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The settings that differ.
    settings: Vec<Column>,
    /// The figures.
    figures: Vec<Column>,
    names: Vec<String>,
    /// What limits the comparison, a line each.
    notes: Vec<String>,
    charts: Vec<Chart>,
}

/// A column of the table.
#[derive(Debug, Serialize)]
struct Column {
    title: String,
    help: String,
    /// For each run.
    cells: Vec<String>,
    /// The best cell, if one is.
    best: Option<usize>,
}

impl Comparison {
    /// Compares runs.
    pub fn of(runs: &[Compared]) -> Comparison {
        let settings = differing(runs);
        let notes = notes(runs, &settings);
        let is_fair = notes.of_comparison.is_empty();
        Comparison {
            figures: figures(runs, is_fair),
            names: runs.iter().map(|run| one_line(&run.name)).collect(),
            notes: [notes.of_comparison, notes.of_runs].concat(),
            charts: charts(runs),
            settings: settings.into_iter().map(|(column, _)| column).collect(),
        }
    }

    /// What limits the comparison, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The table as plain text. A star marks the best value of a column.
    pub fn text(&self) -> String {
        let names = Column { title: "run".into(), help: String::new(), cells: self.names.clone(), best: None };
        let mut lines = vec![String::new(); self.names.len() + 1];
        for column in [&names].into_iter().chain(&self.settings).chain(&self.figures) {
            let star = |row: usize| if column.best == Some(row) { "*" } else { "" };
            let cells =
                column.cells.iter().enumerate().map(|(row, cell)| one_line(cell).replace('\u{2212}', "-") + star(row));
            let cells: Vec<String> = [column.title.clone()].into_iter().chain(cells).collect();
            let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
            for (line, cell) in lines.iter_mut().zip(&cells) {
                line.push_str(&format!("{cell:width$}  "));
            }
        }
        lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
    }

    /// The HTML page.
    pub fn page(&self) -> String {
        render(COMPARISON, self)
    }
}

/// The settings that are not the same in all runs, with those of the first.
fn differing(runs: &[Compared]) -> Vec<(Column, Setting)> {
    let all: Vec<Vec<Setting>> = runs.iter().map(|run| run.config.settings()).collect();
    let Some(first) = all.first() else { return Vec::new() };
    let column = |(index, setting): (usize, &Setting)| {
        if setting.heading == OUTPUT {
            return None;
        }
        let cells: Vec<String> = all.iter().map(|settings| settings[index].value.clone()).collect();
        let differs = cells.iter().any(|cell| *cell != cells[0]);
        let shown = cells.into_iter().map(|cell| if cell.is_empty() { "\u{2013}".to_owned() } else { cell }).collect();
        let title = setting.option.trim_start_matches('-').to_owned();
        differs.then(|| (Column { title, help: setting.help.clone(), cells: shown, best: None }, setting.clone()))
    };
    let found = first.iter().enumerate().filter_map(column);
    found.collect()
}

/// What limits a comparison: of all runs together, and of single ones.
struct Notes {
    of_comparison: Vec<String>,
    of_runs: Vec<String>,
}

fn notes(runs: &[Compared], settings: &[(Column, Setting)]) -> Notes {
    let named = |is_meant: &dyn Fn(&Setting) -> bool| {
        let meant = settings.iter().map(|(_, setting)| setting).filter(|setting| is_meant(setting));
        meant.map(|setting| setting.option.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut of_comparison = Vec::new();
    let data = named(&|setting| setting.heading == DATA);
    if !data.is_empty() {
        of_comparison.push(format!("the runs have different data ({data}): their figures cannot be compared"));
    }
    let quantity = named(&|setting| OTHER_QUANTITY.contains(&setting.option.as_str()));
    if !quantity.is_empty() {
        of_comparison.push(format!(
            "the runs differ in what their ELBO is the bound of ({quantity}): their figures cannot be compared"
        ));
    }
    let of_run = |run: &Compared| {
        let name = one_line(&run.name);
        let none = run.epochs.is_empty().then(|| format!("no epoch is done in {name}"));
        let fault = run.fault.as_ref().map(|fault| format!("only a part of {name} can be read: {fault}"));
        [fault, none]
    };
    Notes { of_comparison, of_runs: runs.iter().flat_map(of_run).flatten().collect() }
}

/// The figures of each run. A best one is marked if the runs can be compared.
fn figures(runs: &[Compared], is_fair: bool) -> Vec<Column> {
    let column = |title: &str, help: &str, cell: &dyn Fn(&[EpochMetrics]) -> Option<String>| Column {
        title: title.to_owned(),
        help: help.to_owned(),
        cells: runs.iter().map(|run| cell(&run.epochs).unwrap_or_else(|| "\u{2013}".to_owned())).collect(),
        best: None,
    };
    let set = set_of(runs);
    let last = |value: fn(&Averages) -> f64| {
        move |epochs: &[EpochMetrics]| epochs.last().map(|epoch| shown(value(&epoch.held_out().1)))
    };
    let help = |what: &str| format!("{what} on the {set} set after the last epoch, nats per example");
    let bests: Vec<Option<f64>> =
        runs.iter().map(|run| best(&run.epochs).map(|epoch| epoch.held_out().1.elbo)).collect();
    let ranked = (0..runs.len()).filter(|row| bests[*row].is_some());
    let first =
        ranked.max_by(|left, right| bests[*left].unwrap_or(f64::NAN).total_cmp(&bests[*right].unwrap_or(f64::NAN)));
    vec![
        Column {
            best: first.filter(|_| is_fair && runs.len() > 1),
            ..column("best elbo", &format!("The largest ELBO on the {set} set of all epochs"), &|epochs| {
                best(epochs).map(|epoch| shown(epoch.held_out().1.elbo))
            })
        },
        column("at epoch", "The epoch of the largest ELBO", &|epochs| {
            best(epochs).map(|epoch| epoch.epoch.to_string())
        }),
        column("last elbo", &help("ELBO"), &last(|averages| averages.elbo)),
        column("nll", &help("Negative log likelihood"), &last(|averages| averages.nll)),
        column("kl", &help("KL divergence from the posterior to the prior"), &last(|averages| averages.kl)),
        column("active", "Active latents after the last epoch", &|epochs| {
            epochs.last().and_then(|epoch| epoch.active_units).map(|units| units.to_string())
        }),
        column("epochs", "Epochs that are done", &|epochs| Some(epochs.len().to_string())),
        column("time", "Time of training, without evaluation and files", &|epochs| {
            Some(duration(epochs.iter().map(|epoch| epoch.seconds).sum()))
        }),
    ]
}

/// The epoch with the largest held-out ELBO.
fn best(epochs: &[EpochMetrics]) -> Option<&EpochMetrics> {
    epochs.iter().max_by(|left, right| left.held_out().1.elbo.total_cmp(&right.held_out().1.elbo))
}

/// The set that the runs were evaluated on.
fn set_of(runs: &[Compared]) -> &'static str {
    let mut sets = runs.iter().filter_map(|run| run.epochs.last()).map(|epoch| epoch.held_out().0);
    let first = sets.next().unwrap_or("test");
    if sets.all(|set| set == first) { first } else { "validation or test" }
}

fn charts(runs: &[Compared]) -> Vec<Chart> {
    let set = set_of(runs);
    let chart = |id: &str, title: String, unit: &str, value: &dyn Fn(&EpochMetrics) -> Option<f64>| {
        let points = |run: &Compared| {
            run.epochs.iter().filter_map(|epoch| Some((epoch.epoch, value(epoch)?))).collect::<Vec<_>>()
        };
        let curves: Vec<Curve> =
            runs.iter().map(|run| Curve { name: one_line(&run.name), points: points(run) }).collect();
        Chart::of(id, &title, unit, &curves)
    };
    let nats = "nats per example";
    let charts = [
        chart("elbo", format!("ELBO on the {set} set (larger is better)"), nats, &|e| Some(e.held_out().1.elbo)),
        chart("train", "ELBO on the training set".into(), nats, &|epoch| Some(epoch.train.elbo)),
        chart("nll", format!("NLL on the {set} set"), nats, &|epoch| Some(epoch.held_out().1.nll)),
        chart("kl", format!("KL on the {set} set"), nats, &|epoch| Some(epoch.held_out().1.kl)),
        chart("active", "Active latents".into(), "latents", &|epoch| epoch.active_units.map(|units| units as f64)),
    ];
    charts.into_iter().flatten().collect()
}
