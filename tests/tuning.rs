//! The choice of kernels: measured once, kept in the cache, recorded by a run and used again when it is resumed.
//!
//! A software adapter has nothing to choose from on Vulkan; on GL it has what every GPU has.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};

use elbo::gpu::{AdapterRequest, Backend, adapters};

use crate::support::program::{command, write_data};
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
#[track_caller]
fn elbo(directory: &Path, arguments: &[&str]) {
    let mut command = command(directory, arguments);
    let output = command.args(["--backend", "gl"]).env("XDG_CACHE_HOME", directory.join("cache")).output();
    let output = output.expect("elbo starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
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

/// Trains for some epochs.
#[track_caller]
fn train(home: &Path, out: &str, epochs: &str, more: &[&str]) {
    let shape = ["--data", "data", "--hidden", "12", "--latents", "3", "--batch-size", "16"];
    elbo(home, &[&["train", "--out", out, "--epochs", epochs], &shape[..], more].concat());
}

#[test]
fn choices_are_measured_once_kept_and_recorded() {
    if !gl("choices_are_measured_once_kept_and_recorded") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_data(&home.join("data"), 8, 40);
    train(home, "measured", "1", &[]);
    let measured = recorded(&home.join("measured"));
    assert!(measured.len() >= 4, "{measured:?}");

    // What stands in the cache is used: here, the contrary of what was measured.
    let cache = the_cache(home);
    let kept = fs::read_to_string(&cache).expect("the cache");
    let contrary = kept.replace("\"tiles\"", "\"\"").replace("\"slices\"", "\"tiles\"").replace("\"\"", "\"slices\"");
    fs::write(&cache, contrary).expect("written");
    train(home, "whole", "2", &[]);
    let whole = recorded(&home.join("whole"));
    for (product, family) in &measured {
        assert_ne!(&whole[product], family, "{product}");
    }
    // The cache also knows the products of the pictures: a run records its own.
    assert_eq!(whole.len(), measured.len(), "{whole:?}");

    // A run goes on with its own kernels, whatever the cache says by then, and ends with the same bits.
    train(home, "parts", "1", &[]);
    fs::write(&cache, kept).expect("written");
    elbo(home, &["resume", "parts", "--epochs", "2"]);
    let bits = |run: &str| fs::read(home.join(run).join("model.safetensors")).expect("a model");
    assert_eq!(bits("whole"), bits("parts"));

    // A cache that cannot be read is made anew.
    fs::write(&cache, "{").expect("written");
    train(home, "again", "1", &[]);
    assert_eq!(recorded(&home.join("again")).len(), measured.len());
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
