//! A finished run on a small data set, for tests of the commands that use one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::program::{succeeds, write_data};

/// A finished run on a small data set, made once, for the tests that only read.
pub struct Finished {
    directory: TempDir,
    /// What the training printed.
    pub printed: String,
}

/// A small model of the small data.
const SMALL: [&str; 10] = ["--data", "data", "--hidden", "12", "--latents", "3", "--batch-size", "16", "--out", "run"];

/// The arguments that train it.
pub fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train"], SMALL.as_slice(), more].concat()
}

/// The run and what it printed.
pub fn finished() -> &'static Finished {
    static FINISHED: OnceLock<Finished> = OnceLock::new();
    FINISHED.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        write_data(&directory.path().join("data"), 8, 100);
        let printed = succeeds(directory.path(), &train(&["--epochs", "2"]));
        Finished { directory, printed }
    })
}

/// Where the run and its data are.
pub fn home() -> &'static Path {
    finished().directory.path()
}

/// The finished run and its data, to be changed at will.
pub fn copy_of_the_run() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut folders = vec![PathBuf::from("run"), PathBuf::from("data")];
    while let Some(folder) = folders.pop() {
        fs::create_dir(directory.path().join(&folder)).expect("created");
        for entry in fs::read_dir(home().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                fs::copy(entry.path(), directory.path().join(&path)).expect("copied");
            }
        }
    }
    directory
}
