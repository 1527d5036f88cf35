//! The files in the user's cache directory: the kernels chosen by measuring, and compiled pipelines.
//!
//! No result depends on them. If a file cannot be read, or is from another version or driver, its content is
//! recomputed. If no file can be written, nothing is kept. A note of one line names a file that cannot be used.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

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
fn path(adapter: &AdapterSummary, extension: &str) -> io::Result<PathBuf> {
    let name: String = adapter.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let home = dirs::cache_dir().ok_or_else(|| io::Error::other("this user has no cache directory"))?;
    Ok(home.join("elbo").join(format!("{name}.{extension}")))
}

/// The choices kept for this adapter, driver and version.
///
/// # Errors
///
/// A note about a file that exists and cannot be used.
pub(super) fn table(adapter: &AdapterSummary) -> Result<KernelTable, String> {
    let Ok(path) = path(adapter, "json") else { return Ok(KernelTable::default()) };
    let unusable = |found: &str| format!("{}: {found}; kernels are measured again", path.display());
    match fs::read(&path) {
        // A folder that cannot be made is reported when the choices are written.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(KernelTable::default())
        }
        Err(error) => Err(unusable(&error.to_string())),
        Ok(text) => {
            let kept: Choices = serde_json::from_slice(&text).map_err(|_| unusable("a damaged file"))?;
            if kept.version != VERSION {
                return Err(unusable(&format!("of version {}, not {VERSION}", kept.version)));
            }
            Ok(if kept.adapter == adapter.to_string() { kept.products } else { KernelTable::default() })
        }
    }
}

/// Keeps the choices.
///
/// # Errors
///
/// A note that says why they cannot be kept.
pub(super) fn keep_table(adapter: &AdapterSummary, products: &KernelTable) -> Result<(), String> {
    let choices = Choices { version: VERSION.to_owned(), adapter: adapter.to_string(), products: products.clone() };
    let text = serde_json::to_vec_pretty(&choices).unwrap_or_default();
    keep(path(adapter, "json"), &text).map_err(|reason| {
        format!(
            "the measured choice of kernels cannot be kept ({reason}): each program measures it again and may \
             choose others, which round differently (--no-tune gives the same bits each time)"
        )
    })
}

/// The pipelines kept for this adapter and driver; wgpu checks that they fit.
pub(super) fn pipelines(adapter: &AdapterSummary) -> Option<Vec<u8>> {
    fs::read(path(adapter, "pipelines").ok()?).ok()
}

/// Keeps compiled pipelines, if possible: without them a program only starts more slowly.
pub(super) fn keep_pipelines(adapter: &AdapterSummary, data: &[u8]) {
    let _ = keep(path(adapter, "pipelines"), data);
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn keep(path: io::Result<PathBuf>, data: &[u8]) -> Result<(), String> {
    let path = path.map_err(|error| error.to_string())?;
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    write_atomically(&path, |file| file.write_all(data)).map_err(|error| error.to_string())
}

/// A file that exists while kernels are measured. If it still exists later, the program that measured ended meanwhile.
pub(super) struct Measuring {
    path: PathBuf,
    /// Locked as long as this program runs.
    _file: File,
}

impl Measuring {
    /// Marks the beginning. If no file can be written, nothing is marked.
    pub fn begin(adapter: &AdapterSummary) -> Option<Measuring> {
        let path = path(adapter, "measuring").ok()?;
        let directory = path.parent()?;
        fs::create_dir_all(directory).ok()?;
        // The file gets its name only after it is locked, so that no other program takes it for a file that was left
        // over.
        let file = tempfile::NamedTempFile::new_in(directory).ok()?;
        file.as_file().try_lock().ok()?;
        let file = file.persist(&path).ok()?;
        Some(Measuring { path, _file: file })
    }

    /// Marks the end. Without this the file stays, even after an error of the driver.
    pub fn end(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// The file of a program that ended while it measured.
    pub fn left_over(adapter: &AdapterSummary) -> Option<PathBuf> {
        let path = path(adapter, "measuring").ok()?;
        // A program that is measuring right now holds the lock. One that ends removes the file before it releases the lock, so
        // that a file that was opened in between is found to be gone the second time.
        let is_free = || File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        (is_free() && is_free()).then_some(path)
    }
}
