//! What is kept from one program to the next, in the user's cache directory: the kernels chosen by measuring, and compiled
//! pipelines.
//!
//! Nothing depends on it: what cannot be read, or is of another version or driver, is made anew, and what cannot be written
//! is not kept.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AdapterSummary, KernelTable};
use crate::files::write_atomically;

/// The choices of one version of Elbo on one adapter with one driver.
#[derive(Serialize, Deserialize)]
struct Choices {
    version: String,
    adapter: String,
    products: KernelTable,
}

/// A file of an adapter and its driver.
fn path(adapter: &AdapterSummary, extension: &str) -> Option<PathBuf> {
    let name: String = adapter.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Some(dirs::cache_dir()?.join("elbo").join(format!("{name}.{extension}")))
}

/// The choices kept for this adapter, driver and version.
pub(super) fn table(adapter: &AdapterSummary) -> KernelTable {
    let text = path(adapter, "json").and_then(|path| fs::read(path).ok()).unwrap_or_default();
    let kept = serde_json::from_slice(&text).ok();
    let fits = |kept: &Choices| (kept.version.as_str(), &kept.adapter) == (VERSION, &adapter.to_string());
    kept.filter(fits).map(|kept| kept.products).unwrap_or_default()
}

pub(super) fn keep_table(adapter: &AdapterSummary, products: &KernelTable) {
    let choices = Choices { version: VERSION.to_owned(), adapter: adapter.to_string(), products: products.clone() };
    keep(path(adapter, "json"), &serde_json::to_vec_pretty(&choices).unwrap_or_default());
}

/// The pipelines kept for this adapter and driver; wgpu checks that they fit.
pub(super) fn pipelines(adapter: &AdapterSummary) -> Option<Vec<u8>> {
    fs::read(path(adapter, "pipelines")?).ok()
}

pub(super) fn keep_pipelines(adapter: &AdapterSummary, data: &[u8]) {
    keep(path(adapter, "pipelines"), data);
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn keep(path: Option<PathBuf>, data: &[u8]) {
    let Some(path) = path else { return };
    if let Some(directory) = path.parent()
        && fs::create_dir_all(directory).is_ok()
    {
        // Without a cache everything works, only later.
        let _ = write_atomically(&path, |file| file.write_all(data));
    }
}
