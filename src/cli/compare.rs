//! `elbo compare`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use elbo::Error;
use elbo::error::require;
use elbo::files::write_atomically;
use elbo::report::{Compared, Comparison};
use elbo::run::RunDirectory;

use super::{say, warn};

/// Compare runs: a table of the settings that differ and of the figures of each, and an HTML page with their curves
#[derive(Args)]
#[command(after_help = "\
Examples:
  elbo compare runs/1 runs/2
  elbo compare runs/* --out compare.html")]
pub struct Compare {
    /// The run directories, two or more
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Write the table and the curves as one HTML page that needs no network
    #[arg(long, value_name = "HTML")]
    out: Option<PathBuf>,
}

impl Compare {
    pub fn run(self) -> Result<ExitCode, Error> {
        let mut seen = BTreeSet::new();
        let mut runs = Vec::new();
        for path in &self.runs {
            if seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())) {
                runs.push(read(path)?);
            } else {
                warn(format_args!("note: {} is given twice, and shown once", path.display()));
            }
        }
        let expected = "two different runs or more (elbo report RUN shows a single one)";
        require("RUN", runs.len() > 1, expected, format!("{} alone", runs[0].name))?;
        let comparison = Comparison::of(&runs);
        say(comparison.text())?;
        comparison.notes().iter().for_each(|note| warn(format_args!("note: {note}")));
        if let Some(path) = &self.out {
            let page = comparison.page();
            write_atomically(path, |file| file.write_all(page.as_bytes()))?;
            say(format_args!("comparison: {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read(path: &Path) -> Result<Compared, Error> {
    let run = RunDirectory::open(path);
    let config = run.read_config()?;
    let (epochs, damage) = run.read_whole_metrics()?;
    Ok(Compared { name: run.name(), config, epochs, fault: damage.map(|damage| damage.to_string()) })
}
