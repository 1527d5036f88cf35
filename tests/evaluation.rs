//! The program from outside: data with a validation set, the best model, early stopping, and `elbo eval`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::support::program::{refuses, succeeds};

/// Binary stripes of 4 x 5: `count` images of 20 pixels, a byte each.
fn stripes(count: usize) -> Vec<u8> {
    (0..count * 20).map(|i| u8::from((i % 20 + i / 20 * 7) % 5 < 2)).collect()
}

fn write_npz(path: &Path, parts: &[(&str, usize)]) {
    let mut writer = ZipWriter::new(fs::File::create(path).expect("created"));
    for (name, count) in parts {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 4, 5), }}\n");
        let start = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).expect("started");
        writer.write_all(&[start, stripes(*count)].concat()).expect("written");
    }
    writer.finish().expect("finished");
}

/// A run on binary data with a validation set. Its learning rate makes it worse after its best epoch.
fn home() -> &'static Path {
    static HOME: OnceLock<TempDir> = OnceLock::new();
    let home = HOME.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        write_npz(&directory.path().join("data.npz"), &[("train", 90), ("valid", 20), ("test", 30)]);
        succeeds(directory.path(), &train(&["--epochs", "4", "--out", "run"]));
        directory
    });
    home.path()
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let always = ["train", "--data", "data.npz", "--hidden", "12", "--latents", "3", "--batch-size", "16"];
    [&always[..], more].concat()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn metrics(run: &str) -> Vec<Value> {
    fs::read_to_string(home().join(run).join("metrics.jsonl")).expect("metrics").lines().map(json).collect()
}

fn eval(more: &[&str]) -> Value {
    json(&succeeds(home(), &[&["eval"], more, &["--json"]].concat()))
}

#[test]
fn the_best_model_is_the_one_with_the_lowest_validation_loss() {
    let lines = metrics("run");
    assert!(lines.iter().all(|line| line["test"].is_null()), "the test set is left alone");
    let loss = |line: &Value| line["validation"]["loss"].as_f64().expect("a loss");
    let best = lines.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).expect("a line");
    assert_eq!(lines.iter().rfind(|line| line["best"] == true).expect("a best epoch")["epoch"], best["epoch"]);
    // The run stands for its best model. Each model file can be named too.
    for (model, line) in
        [("run", best), ("run/best.safetensors", best), ("run/model.safetensors", lines.last().expect("a line"))]
    {
        let report = eval(&[model, "--split", "validation"]);
        assert_eq!(report["elbo"], line["validation"]["elbo"], "{model}");
        assert_eq!((&report["examples"], &report["split"]), (&20.into(), &"validation".into()));
    }
}

#[test]
fn eval_reports_what_papers_report() {
    let report = eval(&["run", "--importance-samples", "70", "--per-example", "log_prob.npy"]);
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}"));
    assert!(number("/log_prob/mean") > number("/elbo") && number("/log_prob/standard_error") > 0.0, "{report}");
    assert_eq!(number("/log_prob/importance_samples"), 70.0);
    let bits = -number("/log_prob/mean") / (20.0 * std::f64::consts::LN_2);
    assert!((number("/bits_per_dim") - bits).abs() < 1e-9, "{report}");
    assert_eq!(report["kl_per_latent"].as_array().map(Vec::len), Some(3));
    assert!(number("/active_units") <= 3.0 && report["is_log_likelihood"] == true && report["kl_is_estimate"] == true);
    let array = fs::read(home().join("log_prob.npy")).expect("the array");
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&array[array.len() - 4 * 30..]);
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 30.0;
    assert!((mean - number("/log_prob/mean")).abs() < 1e-5, "{mean} in {report}");

    let printed = succeeds(home(), &["eval", "run", "--importance-samples", "70"]);
    for text in ["log p(x)", "standard error", "70 importance samples", "bits/dim", "active units", "kl per latent"] {
        assert!(printed.contains(text), "no {text} in {printed}");
    }
    assert!(!printed.contains("grey"), "{printed}");
    assert_eq!(succeeds(home(), &["eval", "run", "--seed", "9"]), succeeds(home(), &["eval", "run", "--seed", "9"]));
    assert_ne!(eval(&["run"])["elbo"], eval(&["run", "--seed", "9"])["elbo"]);
}

#[test]
fn what_eval_cannot_do_is_refused() {
    refuses(home(), &["eval", "run", "--importance-samples", "0"], &["--importance-samples", "from 1 to"]);
    let unwritable = ["eval", "run", "--importance-samples", "2", "--per-example", "nowhere/x.npy"];
    refuses(home(), &unwritable, &["cannot write", "nowhere/x.npy"]);
    write_npz(&home().join("pair.npz"), &[("train", 40), ("test", 30)]);
    let part = ["eval", "run", "--data", "pair.npz", "--split", "validation"];
    refuses(home(), &part, &["--split", "--validation", "pair.npz"]);
    write_npz(&home().join("broken.npz"), &[("valid", 40)]);
    refuses(home(), &["eval", "run", "--data", "broken.npz"], &["broken.npz", "expected ", "found the arrays `valid`"]);
}

#[test]
fn a_validation_set_is_taken_once() {
    refuses(
        home(),
        &train(&["--validation", "10", "--out", "other"]),
        &["--validation", "validation set of 20 images"],
    );
    write_npz(&home().join("whole.npz"), &[("train", 60), ("test", 30)]);
    let whole = |more: &[&'static str]| [&["train", "--data", "whole.npz", "--hidden", "12"], more].concat();
    refuses(home(), &whole(&["--validation", "60"]), &["--validation", "fewer than the 60 training images"]);
    refuses(home(), &whole(&["--patience", "3", "--batch-size", "16"]), &["--patience", "--validation"]);
    let printed = succeeds(
        home(),
        &whole(&["--validation", "12", "--batch-size", "16", "--epochs", "1", "--out", "cut", "--binarize", "static"]),
    );
    assert!(printed.contains("48 training, 12 validation, 30 test images"), "{printed}");
    assert_eq!(eval(&["cut", "--split", "validation"])["examples"], 12);
}

#[test]
fn a_run_without_progress_stops_and_can_go_on() {
    // With this learning rate, an epoch is better than the first only by chance.
    let stopping = ["--epochs", "40", "--patience", "2", "--lr", "0.3", "--seed", "3", "--out", "stopped"];
    let printed = succeeds(home(), &train(&stopping));
    assert!(printed.contains("stopped early: no better epoch in 2"), "{printed}");
    let epochs = metrics("stopped").len();
    assert!(epochs < 40);
    let again = succeeds(home(), &["resume", "stopped"]);
    assert!(again.contains(&format!("stopped early after {epochs} epochs")), "{again}");
    let more = (epochs + 1).to_string();
    succeeds(home(), &["resume", "stopped", "--patience", "0", "--epochs", &more]);
    assert_eq!(metrics("stopped").len(), epochs + 1);
}
