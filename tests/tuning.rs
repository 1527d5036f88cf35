//! The choice of kernels: measured once, kept in the cache, recorded by a run and used again when it is resumed.
//!
//! All tests use GL, where an adapter has the kernels that every GPU has, and none is chosen without measuring the
//! others.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use elbo::gpu::{AdapterRequest, Backend, adapters};

use crate::support::program::{assert_refused, command, errors_of, write_data};
use crate::support::report_ignored;

/// Whether there is a GL adapter to choose kernels on.
fn gl(test: &str) -> bool {
    let request = AdapterRequest { backend: Some(Backend::Gl), ..AdapterRequest::default() };
    let found = adapters(&request).is_ok_and(|(_, chosen)| chosen.is_some());
    if !found {
        report_ignored(test, "there is no GL adapter");
    }
    found
}

/// Runs `elbo` on GL with a cache of its own.
fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = command(directory, arguments);
    // Mesa has a cache of its own, and prints notes about it.
    command.env("XDG_CACHE_HOME", directory.join("cache")).env("MESA_SHADER_CACHE_DISABLE", "true");
    command.args(["--backend", "gl"]).output().expect("elbo starts")
}

/// Runs `elbo` on GL, and returns its notes.
#[track_caller]
fn elbo(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    let errors = errors_of(&output);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    errors
}

/// The kernel of each product, as a run recorded it.
fn recorded(run: &Path) -> serde_json::Map<String, serde_json::Value> {
    let config = fs::read_to_string(run.join("config.json")).expect("a configuration");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    config["kernels"].as_object().expect("a table").clone()
}

fn the_cache(home: &Path) -> PathBuf {
    let files = fs::read_dir(home.join("cache/elbo")).expect("a cache").map(|entry| entry.expect("a file").path());
    let mut choices = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    choices.next().expect("choices")
}

/// Trains for some epochs, and returns the notes.
#[track_caller]
fn train(home: &Path, out: &str, epochs: &str, more: &[&str]) -> String {
    let shape = ["--data", "data", "--hidden", "12", "--latents", "3", "--batch-size", "16"];
    elbo(home, &[&["train", "--out", out, "--epochs", epochs], &shape[..], more].concat())
}

/// One note that names all of `needles`.
#[track_caller]
fn assert_noted(notes: &str, needles: &[&str]) {
    assert!(notes.starts_with("note: ") && notes.lines().count() == 1, "not one note: {notes}");
    for needle in needles {
        assert!(notes.contains(needle), "`{needle}` is missing: {notes}");
    }
}

#[test]
fn choices_are_measured_once_kept_and_recorded() {
    if !gl("choices_are_measured_once_kept_and_recorded") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_data(&home.join("data"), 8, 40);
    let notes = train(home, "measured", "1", &[]);
    assert_eq!(notes, "");
    let recorded_first = recorded(&home.join("measured"));
    assert!(recorded_first.len() >= 4, "{recorded_first:?}");

    // The choices in the cache are used: here, the opposite of the measured ones.
    let cache = the_cache(home);
    let kept = fs::read_to_string(&cache).expect("the cache");
    let contrary = kept.replace("\"tiles\"", "\"\"").replace("\"slices\"", "\"tiles\"").replace("\"\"", "\"slices\"");
    fs::write(&cache, contrary).expect("written");
    train(home, "whole", "2", &[]);
    let whole = recorded(&home.join("whole"));
    // On a slow machine there is no time to measure every product.
    let measured: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    let measured = measured["products"].as_object().expect("a table");
    let of_the_run: Vec<_> = measured.iter().filter(|(product, _)| whole.contains_key(*product)).collect();
    assert!(!of_the_run.is_empty());
    for (product, variant) in of_the_run {
        assert_ne!(&whole[product], variant, "{product}");
    }
    // The cache also knows the products of the pictures: a run records its own.
    assert_eq!(whole.len(), recorded_first.len(), "{whole:?}");

    // A run continues with its own kernels, whatever the cache says by then, and ends with the same bits.
    train(home, "parts", "1", &[]);
    fs::write(&cache, kept).expect("written");
    elbo(home, &["resume", "parts", "--epochs", "2"]);
    let bits = |run: &str| fs::read(home.join(run).join("model.safetensors")).expect("a model");
    assert_eq!(bits("whole"), bits("parts"));
}

#[test]
fn a_cache_that_cannot_be_used_is_named_once_and_the_work_goes_on() {
    if !gl("a_cache_that_cannot_be_used_is_named_once_and_the_work_goes_on") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_data(&home.join("data"), 8, 40);
    train(home, "first", "1", &[]);
    let products = recorded(&home.join("first")).len();
    let cache = the_cache(home);
    let kept = fs::read_to_string(&cache).expect("the cache");

    fs::write(&cache, "{").expect("written");
    assert_noted(&train(home, "damaged", "1", &[]), &[cache.to_str().expect("UTF-8"), "damaged"]);
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(kept.contains(&version), "{kept}");
    fs::write(&cache, kept.replace(&version, "\"version\": \"0.0.1\"")).expect("written");
    assert_noted(&train(home, "old", "1", &[]), &["0.0.1", "measured again"]);
    assert_eq!(recorded(&home.join("old")).len(), products);
    // New measurements are kept again.
    assert_eq!(train(home, "new", "1", &[]), "");

    // A program that ended while it measured leaves its mark, and the next one does not measure.
    let mark = cache.with_extension("measuring");
    fs::write(&mark, "").expect("written");
    assert_noted(&train(home, "crashed", "1", &[]), &["ended while it measured", mark.to_str().expect("UTF-8")]);
    assert!(recorded(&home.join("crashed")).values().all(|family| family == "tiles"));
    fs::remove_file(&mark).expect("removed");

    // A file where the folder should be: nothing can be read or written.
    fs::remove_dir_all(home.join("cache")).expect("removed");
    fs::write(home.join("cache"), "in the way").expect("written");
    assert_noted(&train(home, "unkept", "1", &[]), &["cannot be kept", "cache"]);
    assert_eq!(recorded(&home.join("unkept")).len(), products);
}

#[test]
fn without_tuning_nothing_is_measured_or_kept() {
    if !gl("without_tuning_nothing_is_measured_or_kept") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 40);
    train(directory.path(), "run", "1", &["--no-tune"]);
    assert!(!directory.path().join("cache/elbo").exists());
    let table = recorded(&directory.path().join("run"));
    assert!(!table.is_empty() && table.values().all(|family| family == "tiles"), "{table:?}");
}

#[test]
fn kernels_that_the_adapter_cannot_run_are_refused_if_asked_for_and_replaced_if_recorded() {
    if !gl("kernels_that_the_adapter_cannot_run_are_refused_if_asked_for_and_replaced_if_recorded") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_data(&home.join("data"), 8, 40);
    train(home, "run", "1", &["--no-tune"]);
    let file = home.join("run/config.json");
    let config = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, config.replace("\"tiles\"", "\"lanes\"")).expect("written");

    let asked_for = ["resume", "run", "--epochs", "2", "--kernels", "lanes"];
    assert_refused(&run(home, &asked_for), &["the kernels `lanes` need subgroups"]);
    let recorded_only = run(home, &["resume", "run", "--epochs", "2"]);
    let lines = String::from_utf8_lossy(&recorded_only.stdout);
    assert!(recorded_only.status.success() && lines.contains("with other kernels"), "{lines}");
}
