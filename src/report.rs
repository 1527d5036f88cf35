//! Reports: HTML pages of a run, or of several side by side, that need no network and no other file.
//!
//! What a page shows is computed here; the templates, `src/report/*.html`, lay it out and escape every text. Charts are SVG and
//! pictures are PNG inside of the page, so both are visible without the script, which shows the values under the pointer. The page
//! has a policy that allows no other script, and nothing from outside.

mod chart;
mod compare;
mod examples;
mod latents;
mod machine;
mod run;
mod warnings;

pub use compare::{Compared, Comparison};
pub use run::RunReport;
pub use warnings::Warning;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The macros that both pages use stand before each.
const RUN: &str = concat!(include_str!("report/parts.html"), include_str!("report/run.html"));
const COMPARISON: &str = concat!(include_str!("report/parts.html"), include_str!("report/comparison.html"));
const STYLE: &str = include_str!("report/style.css");
const SCRIPT: &str = include_str!("report/hover.js");

/// Fills a template.
fn render(template: &'static str, page: impl Serialize) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The ending of the name switches escaping on.
    environment.add_template("page.html", template).expect("the templates are valid");
    let script_hash = STANDARD.encode(Sha256::digest(SCRIPT));
    let page = context! { page => Serde(page), script_hash, style => STYLE, script => SCRIPT, version => env!("CARGO_PKG_VERSION") };
    let filled = environment.get_template("page.html").and_then(|template| template.render(page));
    filled.unwrap_or_else(|error| panic!("a template does not fit its page: {error:#}"))
}

/// A PNG as the source of an `img`.
fn source_of(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// A value of a table: two decimals, or as many as a small one needs.
fn shown(value: f64) -> String {
    let text = match value.abs() {
        0.0 | 0.1.. => format!("{value:.2}"),
        0.001.. => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    };
    with_minus(&text)
}

/// A number with a true minus, which is as wide as a digit.
fn with_minus(number: &str) -> String {
    number.replace('-', "\u{2212}")
}

/// A time for people.
fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 60.0 => format!("{seconds:.1} s"),
        _ if seconds < 3600.0 => format!("{} min {:.0} s", (seconds / 60.0) as u64, seconds % 60.0),
        _ => format!("{} h {} min", (seconds / 3600.0) as u64, (seconds % 3600.0 / 60.0) as u64),
    }
}
